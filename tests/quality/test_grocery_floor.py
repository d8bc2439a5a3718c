"""SASRec of examples/grocery.yaml on Grocery: full ranking, seen items excluded, one seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reclens.contracts import PipelineSpec
from reclens.data import prepare
from reclens.platform.datasets.obtain import obtain
from reclens.platform.settings.models import WorkerSettings
from reclens.recommenders import RecommenderTrainer

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

_EXAMPLE = Path(__file__).parents[2] / "examples" / "grocery.yaml"


@pytest.fixture(scope="module")
def folder() -> Path:
    """Only where it is asked for: the training takes a quarter of an hour or more."""
    local = WorkerSettings().data.folder("grocery")
    if local is None:
        pytest.skip("set RECLENS_DATA__GROCERY to train on it (15 to 30 minutes)")
    return obtain("grocery", Path(".reclens/cache"), local, timeout_seconds=60).folder


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
