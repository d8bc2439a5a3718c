"""Small data sets and models whose right answers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from reclens.contracts import BprMfConfig, LightGcnConfig, ModelConfig, SasRecConfig
from reclens.data import Dataset, Interactions, Items, Split, Users

DatasetOf = Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]] | None, int], Dataset]


def build_dataset(
    histories: Sequence[Sequence[int]],
    splits: Sequence[Sequence[int]] | None,
    n_items: int,
) -> Dataset:
    """One history a user, oldest first; without ``splits``, leave-one-out."""
    if splits is None:
        leave_one_out = [Split.VALID, Split.TEST]
        splits = [[Split.TRAIN] * (len(h) - 2) + leave_one_out for h in histories]
    item_index = np.array([item for history in histories for item in history], dtype=np.int32)
    split = np.array([code for codes in splits for code in codes], dtype=np.uint8)
    user_index = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
    return Dataset(
        Interactions(
            user_index.astype(np.int32),
            item_index,
            np.arange(len(item_index), dtype=np.int64),
            None,
            split,
        ),
        Items(
            [f"i{item}" for item in range(n_items)],
            [f"Item {item}" for item in range(n_items)],
            [[] for _ in range(n_items)],
            [None] * n_items,
            np.bincount(item_index[split == Split.TRAIN], minlength=n_items).astype(np.int32),
        ),
        Users([f"u{user}" for user in range(len(histories))], [{} for _ in histories]),
    )


@pytest.fixture(scope="session")
def dataset_of() -> DatasetOf:
    """Builds a data set from histories, splits (or None) and the number of items."""
    return build_dataset


@pytest.fixture(scope="session")
def cycle() -> Dataset:
    """80 users who walk round 40 items in order: after item i comes item i + 1."""
    walks = [[(user + step) % 40 for step in range(8)] for user in range(80)]
    return build_dataset(walks, None, 40)


@pytest.fixture(scope="session")
def camps() -> Dataset:
    """40 users, each of whom takes 14 of the 20 items of one of two camps, in random order."""
    rng = np.random.default_rng(0)
    taken = [list(20 * (user % 2) + rng.permutation(20)[:14]) for user in range(40)]
    splits = [[Split.TRAIN] * 10 + [Split.VALID] * 2 + [Split.TEST] * 2 for _ in taken]
    return build_dataset(taken, splits, 40)


SASREC = SasRecConfig(
    d_model=16,
    n_heads=2,
    max_length=5,
    dropout=0.1,
    learning_rate=1e-2,
    batch_size=16,
    max_epochs=20,
    validate_every=2,
    patience=3,
)
BPRMF = BprMfConfig(
    d_model=8, learning_rate=2e-2, batch_size=64, max_epochs=30, validate_every=3, patience=3
)


LIGHTGCN = LightGcnConfig(
    d_model=8, learning_rate=2e-2, batch_size=64, max_epochs=30, validate_every=3, patience=3
)


@pytest.fixture(params=[SASREC, BPRMF, LIGHTGCN], ids=["sasrec", "bprmf", "lightgcn"])
def config(request: pytest.FixtureRequest) -> ModelConfig:
    """A quick configuration of every registered model."""
    return request.param


@pytest.fixture(params=[BPRMF, LIGHTGCN], ids=["bprmf", "lightgcn"])
def learned_config(request: pytest.FixtureRequest) -> ModelConfig:
    """A quick configuration of every model that learns a vector per user."""
    return request.param


@pytest.fixture
def sasrec_config() -> SasRecConfig:
    """A quick SASRec."""
    return SASREC


@pytest.fixture
def bprmf_config() -> BprMfConfig:
    """A quick BPRMF."""
    return BPRMF


@pytest.fixture
def lightgcn_config() -> LightGcnConfig:
    """A quick LightGCN."""
    return LIGHTGCN
