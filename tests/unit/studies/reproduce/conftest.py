"""The reproduction that most tests of this folder read."""

from __future__ import annotations

import pytest
from reproduction import dictionary, results_of

from reclens.studies.reproduce.experiment.plan import Role
from reclens.studies.reproduce.experiment.results import Dictionary, StudyResults


@pytest.fixture(scope="session")
def main_dictionary() -> Dictionary:
    return dictionary(
        4, (Role.MAIN, Role.GRID_K), "topk 1,000/2", paper_p=[0.9, 0.8, 0.7, None], auroc=0.8
    )


@pytest.fixture(scope="session")
def untrained() -> Dictionary:
    return dictionary(
        5,
        (Role.UNTRAINED,),
        "untrained",
        paper_p=[0.9, 0.5, 0.5, None],
        auroc=0.6,
        fvu=1.7,
        overlap=0.4,
    )


@pytest.fixture(scope="session")
def results(main_dictionary: Dictionary, untrained: Dictionary) -> StudyResults:
    aware = dictionary(
        6,
        (Role.PREDICTION,),
        "prediction-aware",
        paper_p=[0.9, 0.8, 0.7, None],
        auroc=0.8,
        prediction_coefficient=1.0,
    )
    return results_of(main_dictionary, untrained, aware)
