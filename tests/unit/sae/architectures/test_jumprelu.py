"""JumpReLU: thresholds of their own, and the window that teaches them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from reclens.contracts import AutoencoderConfig
from reclens.sae import AutoencoderTrainer, measure
from reclens.sae.activations.sources import SequenceSource
from reclens.sae.architectures.jumprelu import JumpReluAutoencoder

K = 2
WINDOW = 0.5
THRESHOLDS = (1.0, 2.0, 0.5)
PRE = torch.tensor([[1.1, 1.9, 3.0], [0.9, 2.1, -1.0], [1.5, 2.6, 0.6], [1.0, 0.0, 0.2]])
# Above their threshold; six in all.
FIRES = [[1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 0]]
# Less than a quarter from their threshold.
NEAR = [[1, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]]


@pytest.fixture
def worked() -> JumpReluAutoencoder:
    """Latent j is dimension j, with the thresholds above."""
    config = AutoencoderConfig(
        kind="jumprelu", n_latents=3, k=K, bandwidth=WINDOW, l0_coefficient=0.3
    )
    sae = JumpReluAutoencoder(config, d_model=3)
    with torch.no_grad():
        sae.W_dec.copy_(torch.eye(3))
        sae.W_enc.copy_(torch.eye(3))
        sae.log_threshold.copy_(torch.tensor(THRESHOLDS).log())
    return sae


def in_order(sae: JumpReluAutoencoder, pre: Tensor) -> tuple[Tensor, Tensor]:
    """Activations and penalty where all latents take part, in their order."""
    values, penalty = sae.activate_candidates(pre, torch.arange(3).expand(len(pre), 3))
    return values, penalty


def test_what_is_above_its_threshold_passes_whole(worked: JumpReluAutoencoder) -> None:
    values, _ = in_order(worked, PRE)
    assert values.tolist() == (PRE * torch.tensor(FIRES)).tolist()
    worked.requires_grad_(False)
    assert worked.encode(PRE).dense(3).tolist() == values.tolist()


def test_the_penalty_is_the_squared_relative_distance_of_l0_from_k(
    worked: JumpReluAutoencoder,
) -> None:
    _, penalty = in_order(worked, PRE)
    assert penalty.item() == pytest.approx(0.3 * (6 / 4 / 2 - 1) ** 2)


def test_thresholds_get_the_gradients_of_the_published_equations(
    worked: JumpReluAutoencoder,
) -> None:
    upstream = torch.tensor([[0.3, -1.0, 2.0], [0.7, 0.4, 5.0], [1.0, 2.0, -0.5], [3.0, 1.0, 1.0]])
    pre = PRE.clone().requires_grad_()
    values, penalty = in_order(worked, pre)
    ((values * upstream).sum() + penalty).backward()
    # Equations 11 and 12: dz/dθ = -(θ / ε) K((π - θ) / ε) and dH/dθ = -(1 / ε) K((π - θ) / ε),
    # K = 1 within half a window; the chain rule to log θ gives another θ.
    towards_l0 = 2 * 0.3 * (6 / 4 / 2 - 1) / (4 * K)
    expected = []
    for j, theta in enumerate(THRESHOLDS):
        total = 0.0
        for b in range(4):
            total -= NEAR[b][j] / WINDOW * (theta * upstream[b, j].item() + towards_l0)
        expected.append(theta * total)
    assert worked.log_threshold.grad is not None
    assert worked.log_threshold.grad.tolist() == pytest.approx(expected, rel=1e-5)
    # Activations pass their gradient where they fire; the penalty gives them none.
    assert pre.grad is not None
    assert pre.grad.tolist() == (upstream * torch.tensor(FIRES)).tolist()


def test_a_training_step_sees_the_latents_furthest_above_their_thresholds() -> None:
    config = AutoencoderConfig(kind="jumprelu", n_latents=6, k=1)
    sae = JumpReluAutoencoder(config, d_model=6)
    with torch.no_grad():
        sae.W_enc.copy_(torch.eye(6))
        sae.log_threshold.copy_(torch.tensor([9.0, 1.0, 1.0, 1.0, 1.0, 0.1]).log())
    # Above thresholds by -1, 2, 1, -0.5, -3, 0.9: of these four times k take part.
    x = torch.tensor([[8.0, 3.0, 2.0, 0.5, -2.0, 1.0]])
    indices, pre = sae.candidates(x, 0.0)[:2]
    chosen = dict(zip(indices[0].tolist(), pre[0].tolist(), strict=True))
    assert chosen == pytest.approx({1: 3.0, 2: 2.0, 5: 1.0, 3: 0.5})
    assert sae.activate(x).values.tolist() == [[0.0, 3.0, 2.0, 0.0, 0.0, 1.0]]


def test_untrained_thresholds_let_about_k_of_standard_normal_numbers_pass() -> None:
    sae = JumpReluAutoencoder(AutoencoderConfig(kind="jumprelu", n_latents=40, k=4), d_model=3)
    # A tenth of standard normal numbers exceed 1.28155.
    assert sae.log_threshold.exp().tolist() == pytest.approx([1.28155] * 40, abs=1e-4)


def watched_training(x: np.ndarray, k: int) -> tuple[AutoencoderTrainer, list[Tensor]]:
    """A fast training, and the thresholds after each of its steps."""
    config = AutoencoderConfig(
        kind="jumprelu", n_latents=32, k=k, n_epochs=40, batch_size=100, learning_rate=0.05
    ).model_copy(update={"warmup_share": 0.0})
    trainer = AutoencoderTrainer(SequenceSource([x]), config)
    thresholds = [
        trainer.sae.get_parameter("log_threshold").detach().exp()
        for progress in trainer.steps()
        if progress.stage == "train"
    ]
    return trainer, thresholds


def test_thresholds_move_ten_times_as_fast_and_stay_positive(activations: np.ndarray) -> None:
    trainer, thresholds = watched_training(activations, k=4)
    # An eighth of standard normal numbers exceed 1.15035.
    first = (thresholds[0] / 1.15035).log().abs()
    assert first.max().item() == pytest.approx(10 * 0.05, rel=1e-3)
    assert all((t > 0).all() and torch.isfinite(t).all() for t in thresholds)
    assert measure(trainer.sae, SequenceSource([activations])).l0 == pytest.approx(4, rel=0.1)


def test_a_k_out_of_reach_leaves_what_is_positive(activations: np.ndarray) -> None:
    # Five dimensions in 32 latents: not many more than half of them can be above zero at once.
    trainer, thresholds = watched_training(activations, k=24)
    assert torch.isfinite(trainer.sae.get_parameter("log_threshold")).all()
    assert thresholds[-1].max() < 1e-3
    metrics = measure(trainer.sae, SequenceSource([activations]))
    assert 8 < metrics.l0 < 24
    assert metrics.fvu < 0.02


def test_l0_of_unseen_activations_is_near_k(trained_on_planted: Callable[[str], Any]) -> None:
    trained = trained_on_planted("jumprelu")
    x = (trained.unseen - trained.sae.input_mean) / trained.sae.input_scale
    pre = (x - trained.sae.b_dec) @ trained.sae.W_enc + trained.sae.b_enc
    fired = (pre > trained.sae.log_threshold.exp()).sum(1).float()
    assert fired.mean().item() == pytest.approx(4, rel=0.05)
    assert trained.report.l0 == pytest.approx(fired.mean().item(), rel=1e-3)
