"""Negative samples; fold-in by hand, and against the learned vectors of a trained model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reclens.contracts import ModelConfig
from reclens.data import Dataset
from reclens.recommenders import RecommenderTrainer, UserBatch
from reclens.recommenders.models.pairwise import NegativeSampler, UserVector, fold_in

# User 0 knows 0, 1, 2 of five items; user 1 knows 4; user 2 knows all of them.
USERS = np.array([0, 0, 0, 0, 1, 2, 2, 2, 2, 2])
ITEMS = np.array([0, 1, 2, 2, 4, 0, 1, 2, 3, 4])


def test_samples_are_uniform_over_what_the_user_does_not_know() -> None:
    sampler = NegativeSampler(USERS, ITEMS, 5)
    users = np.repeat([0, 1], 4000)
    drawn = sampler.sample(users, np.random.default_rng(0))
    counts = [np.bincount(drawn[users == user], minlength=5) for user in (0, 1)]
    assert counts[0][:3].sum() == 0
    assert counts[1][4] == 0
    # Five standard deviations of a binomial.
    assert abs(counts[0][3] - 2000) < 5 * np.sqrt(4000 * 0.25)
    assert np.abs(counts[1][:4] - 1000).max() < 5 * np.sqrt(4000 * 0.1875)


def test_the_same_generator_gives_the_same_samples() -> None:
    sampler = NegativeSampler(USERS, ITEMS, 5)
    users = np.repeat([0, 1], 50)
    first, again, other = (sampler.sample(users, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_user_who_knows_everything_has_no_negative() -> None:
    sampler = NegativeSampler(USERS, ITEMS, 5)
    assert sampler.can_sample(np.array([2, 0, 1])).tolist() == [False, True, True]


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
