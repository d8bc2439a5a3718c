"""The spread of scores, against the scores themselves."""

from __future__ import annotations

import numpy as np
import torch

from reclens.steering.spread import ScoreSpread, item_moments


def test_spread_is_the_standard_deviation_of_the_scores() -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)) + 3
    vectors = rng.normal(size=(4, 6))
    spread = ScoreSpread(torch.from_numpy(items)).of(torch.from_numpy(vectors))
    np.testing.assert_allclose(spread, (vectors @ items.T).std(axis=1), rtol=1e-12)


def test_spread_of_a_catalogue_without_extent_in_a_direction_is_zero_there() -> None:
    # Scores along (1, 0) are 1, 3, 5, 7: standard deviation sqrt(5). Along (0, 1) all are 2.
    items = torch.tensor([[1.0, 2.0], [3.0, 2.0], [5.0, 2.0], [7.0, 2.0]])
    spread = ScoreSpread(items).of(torch.eye(2))
    torch.testing.assert_close(spread, torch.tensor([5.0**0.5, 0.0], dtype=torch.float64))


def test_moments_of_a_catalogue_larger_than_a_block() -> None:
    items = torch.arange(70_000, dtype=torch.float32)[:, None] % 10
    mean, covariance = item_moments(items)
    # Each of 0 to 9 equally often: mean 4.5, variance (10^2 - 1) / 12.
    assert mean.tolist() == [4.5]
    torch.testing.assert_close(covariance, torch.tensor([[8.25]], dtype=torch.float64))
