"""Default recommenders on MovieLens-100K: full ranking, seen items excluded, one seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reclens.contracts import BprMfConfig, DatasetSpec, ModelConfig, SasRecConfig, SplitSpec
from reclens.data import prepare
from reclens.recommenders import RecommenderTrainer

pytestmark = pytest.mark.quality


def metrics_on_test(config: ModelConfig, split: SplitSpec, folder: Path) -> dict[str, Any]:
    dataset = prepare(DatasetSpec(split=split), folder)
    trainer = RecommenderTrainer(config, dataset, seed=0)
    for _ in trainer.steps():
        pass
    return trainer.finish()[1]["test"]


def test_sasrec_tells_the_next_item(ml_100k_folder: Path) -> None:
    test = metrics_on_test(SasRecConfig(), SplitSpec(kind="leave-one-out"), ml_100k_folder)
    assert test["hr@10"] >= 0.17
    assert test["ndcg@10"] >= 0.088


def test_bprmf_ranks_held_out_items(ml_100k_folder: Path) -> None:
    test = metrics_on_test(BprMfConfig(), SplitSpec(kind="ratio"), ml_100k_folder)
    assert test["ndcg@10"] >= 0.17
