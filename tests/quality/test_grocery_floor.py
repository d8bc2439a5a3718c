"""SASRec of examples/grocery.yaml on Grocery: full ranking, seen items excluded, one seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reclens.adapters.settings import WorkerSettings
from reclens.adapters.sources import obtain
from reclens.contracts import PipelineSpec
from reclens.data import prepare
from reclens.errors import MissingData
from reclens.recommenders import RecommenderTrainer

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

_EXAMPLE = Path(__file__).parents[2] / "examples" / "grocery.yaml"


@pytest.fixture(scope="module")
def folder() -> Path:
    """Set or downloaded; a machine with neither cannot run this test, one with a bad setting may
    not pass it over."""
    local = WorkerSettings().data.folder("grocery")
    try:
        return obtain("grocery", Path(".reclens/cache"), local, timeout_seconds=60).folder
    except MissingData as error:
        if local is not None:
            raise
        pytest.skip(str(error))


def test_sasrec_tells_the_next_purchase(folder: Path) -> None:
    spec = PipelineSpec.parse(yaml.safe_load(_EXAMPLE.read_text())["spec"])
    trainer = RecommenderTrainer(
        spec.recommender.model, prepare(spec.dataset, folder), seed=spec.recommender.seed
    )
    for _ in trainer.steps():
        pass
    _, metrics = trainer.finish()
    assert metrics["test"]["hr@10"] >= 0.095
    assert metrics["test"]["ndcg@10"] >= 0.053
