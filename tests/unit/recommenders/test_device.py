"""Recommenders off the CPU: on a pretended device, which refuses tensors of another."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, pretend_device

from reclens.contracts import ModelConfig
from reclens.data import Dataset
from reclens.evaluation.fidelity import fidelity_rows, held_out_users
from reclens.recommenders import (
    RecommenderTrainer,
    capture_cases,
    case_kind,
    check_recommender,
    load_recommender,
    save_recommender,
)

# Said of every module that is loaded there: it takes the name of the pretended device at its word.
pytestmark = pytest.mark.filterwarnings("ignore:.*to a meta parameter")
QUICK = {"max_epochs": 4, "validate_every": 2}


@pytest.fixture
def quick(config: ModelConfig) -> ModelConfig:
    return config.model_copy(update=QUICK)


def test_every_model_trains_evaluates_and_is_captured_there_as_on_the_cpu(
    quick: ModelConfig, cycle: Dataset, tmp_path: Path
) -> None:
    here = RecommenderTrainer(quick, cycle, 0)
    list(here.steps())
    model, expected = here.finish()
    with pretend_device():
        trainer = RecommenderTrainer(quick, cycle, 0, DEVICE)
        list(trainer.steps())
        moved, found = trainer.finish()
        assert moved.device == DEVICE
        check_recommender(moved)
        kind = case_kind(moved, "auto")
        captured = list(capture_cases(moved, cycle, kind=kind, folds=2))
        users = held_out_users(cycle, range(20))
        site = moved.site
        rows = list(
            fidelity_rows(moved, site, users, {"same": lambda x: x}, ks=(10,), overlap_at=10)
        )
        save_recommender(moved, tmp_path)
        assert load_recommender(tmp_path, DEVICE).device == DEVICE
    assert found["test"] == pytest.approx(expected["test"])
    assert found["history"][-1]["loss"] == pytest.approx(expected["history"][-1]["loss"], rel=1e-4)
    for one, other in zip(captured, capture_cases(model, cycle, kind=kind, folds=2), strict=True):
        np.testing.assert_allclose(one.representation, other.representation, atol=1e-4)
        np.testing.assert_allclose(one.top_scores, other.top_scores, atol=1e-4)
    assert {row["overlap@10"] for row in rows} == {1.0}
    loaded = load_recommender(tmp_path)
    assert {type(value) for value in loaded.state_dict().values()} == {torch.Tensor}
    assert loaded.device == torch.device("cpu")


@pytest.mark.parametrize("devices", [(DEVICE, DEVICE), (DEVICE, "cpu"), ("cpu", DEVICE)])
def test_a_run_goes_on_elsewhere_and_where_it_was_byte_for_byte(
    quick: ModelConfig, cycle: Dataset, devices: tuple[torch.device | str, ...]
) -> None:
    with pretend_device():
        whole = RecommenderTrainer(quick, cycle, 0, devices[1])
        list(whole.steps())
        first = RecommenderTrainer(quick, cycle, 0, devices[0])
        list(itertools.islice(first.steps(), 7))
        tensors, meta = first.state()
        second = RecommenderTrainer(quick, cycle, 0, devices[1])
        second.restore(tensors, meta)
        restored, _ = second.state()
        assert {name: array.tobytes() for name, array in restored.items()} == {
            name: array.tobytes() for name, array in tensors.items()
        }
        list(second.steps())
        mine, theirs = second.state()[0], whole.state()[0]
        metrics, expected = second.finish()[1], whole.finish()[1]
    assert metrics["test"] == pytest.approx(expected["test"], abs=0.05)
    if devices[0] == devices[1]:
        assert {name: array.tobytes() for name, array in mine.items()} == {
            name: array.tobytes() for name, array in theirs.items()
        }
