from __future__ import annotations

import pytest
import torch

from reclens.sae.architectures.losses import auxiliary_loss, fvu

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
