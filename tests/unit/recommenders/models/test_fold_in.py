"""Fold-in by hand, and against the learned vectors of a trained model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reclens.contracts import ModelConfig
from reclens.data import Dataset
from reclens.recommenders import RecommenderTrainer, UserBatch
from reclens.recommenders.models.fold_in import UserVector, fold_in


def test_solves_the_ridge_regression() -> None:
    # Mean squared length (1 + 4) / 2, so the prior is 25: x = sum e / (sum e^2 + 25).
    items = torch.tensor([[1.0], [2.0]])
    x = fold_in(torch.tensor([[-1, 0], [0, 1], [1, 1]]), items)
    assert x.flatten().tolist() == pytest.approx([1 / 26, 3 / 30, 4 / 33])


def test_known_users_are_rows_and_unknown_ones_of_median_length() -> None:
    learned = torch.tensor([[3.0, 4.0], [0.0, 1.0], [6.0, 8.0]])
    items = torch.eye(2)
    x = UserVector()(learned, items, torch.tensor([2, -1]), torch.tensor([[-1, 1], [-1, 0]]))
    assert x[0].tolist() == [6.0, 8.0]
    assert x[1].tolist() == pytest.approx([5.0, 0.0])


def test_a_folded_user_looks_like_the_learned_one(
    learned_config: ModelConfig, camps: Dataset
) -> None:
    trainer = RecommenderTrainer(learned_config, camps, seed=0)
    for _ in trainer.steps():
        pass
    model, _ = trainer.finish()
    histories = [camps.history(user) for user in range(camps.n_users)]
    with torch.no_grad():
        learned = model.represent(UserBatch.of(histories, np.arange(camps.n_users)))
        folded = model.represent(UserBatch.of(histories))
    cosine = torch.cosine_similarity(folded, learned)
    other = torch.cosine_similarity(folded, learned.roll(1, dims=0))
    assert cosine.min() > 0.5
    assert other.max() < 0
    assert torch.allclose(folded.norm(dim=1), learned.norm(dim=1).median())
