"""The default recommenders on MovieLens-100K, each trained once for all floors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reclens.contracts import (
    BprMfConfig,
    DatasetSpec,
    LightGcnConfig,
    ModelConfig,
    SasRecConfig,
    SplitSpec,
)
from reclens.data import Dataset, prepare
from reclens.recommenders import Recommender, RecommenderTrainer


@dataclass(frozen=True)
class Trained:
    """A recommender, its data, and its metrics on the test split."""

    dataset: Dataset
    model: Recommender
    test: dict[str, Any]


def train(config: ModelConfig, split: SplitSpec, folder: Path) -> Trained:
    """Train with seed 0 to the end."""
    dataset = prepare(DatasetSpec(split=split), folder)
    trainer = RecommenderTrainer(config, dataset, seed=0)
    for _ in trainer.steps():
        pass
    model, metrics = trainer.finish()
    return Trained(dataset, model, metrics["test"])


@pytest.fixture(scope="session")
def sasrec(ml_100k_folder: Path) -> Trained:
    return train(SasRecConfig(), SplitSpec(kind="leave-one-out"), ml_100k_folder)


@pytest.fixture(scope="session")
def bprmf(ml_100k_folder: Path) -> Trained:
    return train(BprMfConfig(), SplitSpec(kind="ratio"), ml_100k_folder)


@pytest.fixture(scope="session")
def lightgcn(ml_100k_folder: Path) -> Trained:
    return train(LightGcnConfig(), SplitSpec(kind="ratio"), ml_100k_folder)
