"""What is made small: the FVU, AuxK, and the prediction-aware term: value, gradient, items, use."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from reclens.contracts import AutoencoderConfig
from reclens.errors import InvalidInput
from reclens.sae import AutoencoderTrainer, Scorer, SparseAutoencoder
from reclens.sae.activations.sources import SequenceSource
from reclens.sae.architectures.losses import PredictionTerm, auxiliary_loss, fvu

X = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
X_HAT = torch.tensor([[1.0, 1.0], [2.0, 2.0]])
# error: 0+1 + 1+4 = 6; mean (2, 2), deviations 1+4 + 1+4 = 10


def test_fvu_is_error_over_variance() -> None:
    assert fvu(X, X_HAT).item() == pytest.approx(0.6)


def test_fvu_of_the_mean_is_one() -> None:
    assert fvu(X, X.mean(0).expand(2, 2)).item() == pytest.approx(1.0)


def test_fvu_takes_the_variance_of_the_whole_data_where_given() -> None:
    assert fvu(X, X_HAT, variance=4.0).item() == pytest.approx(6 / 8)


def test_auxiliary_loss_equals_the_hand_worked_value() -> None:
    # e = [[0, -1], [1, 2]], mean (.5, .5), deviations .25+2.25 + .25+2.25 = 5
    residual_hat = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    # error: 0+1 + 0+4 = 5
    full = auxiliary_loss(X, X_HAT, residual_hat, n_dead=8, k_auxiliary=4)
    half = auxiliary_loss(X, X_HAT, residual_hat, n_dead=2, k_auxiliary=4)
    assert full.item() == pytest.approx(1.0)
    assert half.item() == pytest.approx(0.5)


def test_auxiliary_loss_is_zero_when_dead_latents_explain_the_residual() -> None:
    assert auxiliary_loss(X, X_HAT, X - X_HAT, n_dead=4, k_auxiliary=4).item() == 0.0


def test_auxiliary_loss_pulls_the_dead_towards_the_residual_and_leaves_the_living_alone() -> None:
    x_hat = X_HAT.clone().requires_grad_()
    residual_hat = torch.zeros(2, 2, requires_grad=True)
    auxiliary_loss(X, x_hat, residual_hat, n_dead=4, k_auxiliary=4).backward()
    assert x_hat.grad is None
    assert residual_hat.grad is not None
    # A step down the gradient goes along +e: d/dê Σ‖e - ê‖²/5 = -2e/5 at ê = 0.
    assert torch.allclose(residual_hat.grad, -2 * (X - X_HAT) / 5)


def test_auxiliary_loss_of_a_single_row_is_zero_and_finite() -> None:
    residual_hat = torch.ones(1, 2, requires_grad=True)
    loss = auxiliary_loss(X[:1], X_HAT[:1], residual_hat, n_dead=4, k_auxiliary=4)
    loss.backward()
    assert loss.item() == 0.0
    assert residual_hat.grad is not None
    assert torch.isfinite(residual_hat.grad).all()


# --- the prediction-aware term --------------------------------------------------------------------


@pytest.fixture
def draw() -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator)


def divergence(scorer: Scorer, x: Tensor, x_hat: Tensor) -> float:
    """Of raw activations from raw reconstructions, by PyTorch's distributions."""
    given, answered = (
        Categorical(logits=raw @ scorer.weights.T + scorer.biases) for raw in (x, x_hat)
    )
    return kl_divergence(given, answered).mean().item()


def test_two_items_give_the_hand_worked_value() -> None:
    scorer = Scorer(torch.tensor([[1.0], [0.0]]), torch.zeros(2))
    term = PredictionTerm(scorer, torch.zeros(1), torch.ones(()), n_items=None, seed=0)
    # Scores (0, 0) are a half each, (ln 3, 0) three quarters and a quarter.
    got = term(torch.tensor([[0.0]]), torch.tensor([[math.log(3)]]), 0)
    assert got.item() == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2))
    assert term(torch.tensor([[7.0]]), torch.tensor([[7.0]]), 0).item() == 0.0


def test_scores_are_those_of_the_activations_as_the_recommender_has_them(
    draw: Callable[..., Tensor],
) -> None:
    scorer, mean, scale = Scorer(draw(9, 4), draw(9)), draw(4) * 5, torch.tensor(2.5)
    x, x_hat = draw(6, 4) * 3 + mean, draw(6, 4) * 3 + mean
    term = PredictionTerm(scorer, mean, scale, n_items=None, seed=0)
    got = term((x - mean) / scale, (x_hat - mean) / scale, 0)
    assert got.item() == pytest.approx(divergence(scorer, x, x_hat), rel=1e-4)


def test_the_gradient_is_the_difference_of_the_shares_and_reaches_the_reconstruction_only(
    draw: Callable[..., Tensor],
) -> None:
    scorer = Scorer(draw(5, 3).requires_grad_(), draw(5).requires_grad_())
    mean, scale = draw(3), torch.tensor(0.5)
    x, x_hat = draw(4, 3).requires_grad_(), draw(4, 3).requires_grad_()
    PredictionTerm(scorer, mean, scale, n_items=None, seed=0)(x, x_hat, 0).backward()
    assert x.grad is scorer.weights.grad is scorer.biases.grad is None
    with torch.no_grad():
        p, q = (
            ((raw * scale + mean) @ scorer.weights.T + scorer.biases).softmax(1)
            for raw in (x, x_hat)
        )
        # d KL / d score = q - p; scores have the slope weights · scale.
        expected = (q - p) @ scorer.weights * scale / 4
    torch.testing.assert_close(x_hat.grad, expected, rtol=1e-4, atol=1e-6)


def test_drawn_items_are_given_by_seed_and_step(draw: Callable[..., Tensor]) -> None:
    scorer, mean, scale = Scorer(draw(4, 3), draw(4)), draw(3), torch.tensor(2.0)
    x, x_hat = draw(2, 3), draw(2, 3)

    def values(seed: int) -> list[float]:
        term = PredictionTerm(scorer, mean, scale, n_items=2, seed=seed)
        return [term(x, x_hat, step).item() for step in range(100)]

    assert values(0) == values(0)
    assert values(0) != values(1)
    # Each step compares two different items, and every pair has its turn.
    pairs = [
        divergence(
            Scorer(scorer.weights[list(pair)], scorer.biases[list(pair)]),
            x * scale + mean,
            x_hat * scale + mean,
        )
        for pair in itertools.combinations(range(4), 2)
    ]
    nearest = [int(np.abs(np.array(pairs) - value).argmin()) for value in values(0)]
    assert values(0) == pytest.approx([pairs[i] for i in nearest], rel=1e-3)
    assert set(nearest) == set(range(6))


@pytest.mark.parametrize("n_items", [4, 5, None])
def test_as_many_items_as_there_are_means_all(
    draw: Callable[..., Tensor], n_items: int | None
) -> None:
    scorer, x, x_hat = Scorer(draw(4, 3), draw(4)), draw(2, 3), draw(2, 3)
    term = PredictionTerm(scorer, torch.zeros(3), torch.ones(()), n_items=n_items, seed=0)
    assert term(x, x_hat, 3).item() == pytest.approx(divergence(scorer, x, x_hat), rel=1e-4)


def test_the_term_without_a_prediction_layer_is_refused(activations: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="prediction layer") as caught:
        AutoencoderTrainer(
            SequenceSource([activations]), AutoencoderConfig(prediction_coefficient=0.1)
        )
    assert caught.value.field == "scorer"
    assert caught.value.remedy


def test_the_term_joins_the_loss_with_its_weight(activations: np.ndarray) -> None:
    generator = torch.Generator().manual_seed(2)
    scorer = Scorer(torch.randn(20, 8, generator=generator) / 8, torch.zeros(20))

    def first_loss(coefficient: float) -> float:
        config = AutoencoderConfig(
            n_latents=32, k=3, batch_size=700, prediction_coefficient=coefficient
        )
        trainer = AutoencoderTrainer(SequenceSource([activations]), config, scorer)
        *_, step = itertools.islice(trainer.steps(), 2)
        return step.metrics["loss"]

    plain = first_loss(0.0)
    start = AutoencoderTrainer(
        SequenceSource([activations]), AutoencoderConfig(n_latents=32, k=3, n_epochs=0)
    )
    list(start.steps())
    x = torch.from_numpy(activations)
    expected = divergence(scorer, x, start.sae(x))
    for coefficient in (0.5, 2.0):
        assert first_loss(coefficient) - plain == pytest.approx(coefficient * expected, rel=1e-3)


def test_predictions_of_unseen_activations_are_kept_better_with_the_term(
    planted_activations: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    x, _ = planted_activations(d_model=16, n_directions=48, n_active=4, rows=6000)
    rng = np.random.default_rng(1)
    # Items look at a quarter of the dimensions: what the others hold does not matter to them.
    weights = rng.normal(size=(60, 16)) * (np.arange(16) < 4) * 4
    scorer = Scorer(torch.from_numpy(weights.astype(np.float32)), torch.zeros(60))

    def trained(coefficient: float) -> SparseAutoencoder:
        config = AutoencoderConfig(
            n_latents=32, k=2, n_epochs=6, prediction_coefficient=coefficient, prediction_items=30
        )
        trainer = AutoencoderTrainer(SequenceSource([x[:5000]]), config, scorer)
        list(trainer.steps())
        return trainer.sae

    unseen = torch.from_numpy(x[5000:])
    without, with_it = (divergence(scorer, unseen, trained(c)(unseen)) for c in (0.0, 1.0))
    assert with_it < 0.7 * without
