"""Batch invariance is found where it holds, and not where a model breaks it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from served_models import N_USERS, small_dataset
from torch import Tensor

from reclens.contracts import SasRecConfig
from reclens.recommenders import Recommender, UserBatch, build_recommender
from reclens_recommender.serving.representations import (
    invariant_lengths,
    is_batch_invariant,
)

N_ITEMS = 100


def sasrec(d_model: int = 16) -> Recommender:
    config = SasRecConfig(d_model=d_model, n_layers=2, max_length=16, dropout=0.0)
    return build_recommender(config, N_USERS, N_ITEMS, seed=1).eval()


def not_batch_invariant(model: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a batch of several comes out a little otherwise than each of it alone."""
    own = model.represent

    def swayed(batch: UserBatch) -> Tensor:
        return own(batch) * (1 + 2**-20 * (len(batch) - 1))

    monkeypatch.setattr(model, "represent", swayed)


def histories(count: int, length: int) -> list[np.ndarray[Any, Any]]:
    return [np.random.default_rng(row).integers(0, N_ITEMS, length) for row in range(count)]


def test_length_is_proved_only_where_it_is_batch_invariant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, users = sasrec(), list(range(8))
    with torch.inference_mode():
        for length in (8, 12, 16):
            assert is_batch_invariant(model, model.site, users, histories(8, 5), length)
        not_batch_invariant(model, monkeypatch)
        for length in (8, 12, 16):
            assert not is_batch_invariant(model, model.site, users, histories(8, 5), length)


def test_model_that_is_not_batch_invariant_has_no_length_to_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, dataset = sasrec(), small_dataset(N_ITEMS)
    with torch.inference_mode():
        assert 16 in invariant_lengths(model, model.site, dataset)
        not_batch_invariant(model, monkeypatch)
        assert invariant_lengths(model, model.site, dataset) == frozenset()
