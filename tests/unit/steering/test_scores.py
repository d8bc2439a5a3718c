"""The spread of scores, and what latents add to them, against the scores themselves."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from reclens.steering.scores import ScoreSpread, attribute, item_moments


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


def test_contributions_are_what_the_hand_works_out() -> None:
    sae = SimpleNamespace(
        W_dec=torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), input_scale=torch.tensor(2.0)
    )
    weights = torch.tensor([[1.0, 2.0], [5.0, 0.0]])
    # x = (10, 1), so the scores are x . w + b = (12.5, 49).
    parts = attribute(
        scores=torch.tensor([12.5, 49.0]),
        latents=torch.tensor([0, 2]),
        activations=torch.tensor([3.0, 0.5]),
        sae=sae,  # pyright: ignore[reportArgumentType]
        item_weights=weights,
        item_biases=torch.tensor([0.5, -1.0]),
    )
    # Latent 0 adds 3 * 2 * (1, 5); latent 2 adds 0.5 * 2 * (0.6 + 1.6, 3).
    expected = torch.tensor([[6.0, 30.0], [2.2, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(parts.contributions, expected, atol=1e-6, rtol=0)
    # What is left of x is (10, 1) - 2 * (3 * (1, 0) + 0.5 * (0.6, 0.8)) = (3.4, 0.2).
    torch.testing.assert_close(
        parts.unexplained, torch.tensor([3.8, 17.0], dtype=torch.float64), atol=1e-6, rtol=0
    )


def test_parts_sum_to_scores_over_many_latents_of_very_different_size() -> None:
    generator = torch.Generator().manual_seed(0)
    d_model, n_latents, n_items = 64, 512, 300
    W_dec = torch.nn.functional.normalize(
        torch.randn(n_latents, d_model, generator=generator), dim=1
    )
    sae = SimpleNamespace(W_dec=W_dec, input_scale=torch.tensor(0.37))
    weights = torch.randn(n_items, d_model, generator=generator)
    biases = torch.randn(n_items, generator=generator)
    z = torch.randn(n_latents, generator=generator).abs() * torch.logspace(-4, 2, n_latents)
    error = torch.randn(d_model, generator=generator)
    # The truth is made of its parts in float64, independently of how they are taken apart.
    x = 0.37 * (z.double() @ W_dec.double()) + error.double()
    scores = (x @ weights.double().T + biases.double()).float()
    parts = attribute(
        scores,
        torch.arange(n_latents),
        z,
        sae=sae,  # pyright: ignore[reportArgumentType]
        item_weights=weights,
        item_biases=biases,
    )
    total = parts.contributions.sum(0) + parts.unexplained + parts.biases
    assert float((total - scores.double()).abs().max()) < 1e-4
    left_over = error.double() @ weights.double().T
    assert float((parts.unexplained - left_over).abs().max()) < 1e-3
