"""Matryoshka: every nested prefix of the latents reconstructs, and all count alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from reclens.contracts import AutoencoderConfig
from reclens.sae import AutoencoderTrainer, build_autoencoder
from reclens.sae.activations.sources import SequenceSource
from reclens.sae.architectures.matryoshka import MatryoshkaAutoencoder
from reclens.sae.training.dense import multiply_float32

# As wide as four times k, so that no row is capped.
CONFIG = AutoencoderConfig(
    kind="matryoshka", n_latents=12, k=3, matryoshka_levels=(0.25, 0.5, 1.0), seed=5
)
ENDS = (3, 6, 12)


def dense_levels(sae: MatryoshkaAutoencoder, x: torch.Tensor) -> torch.Tensor:
    """Reconstructions of every prefix from the published equations, with dense products."""
    pre = (x - sae.b_dec) @ sae.W_enc + sae.b_enc
    edge = pre.detach().flatten().sort(descending=True).values[len(x) * sae.k - 1]
    z = pre.relu() * (pre >= edge)
    return torch.stack([z[:, :end] @ sae.W_dec[:end] + sae.b_dec for end in ENDS])


@pytest.fixture
def shifted() -> MatryoshkaAutoencoder:
    """With biases that are not zero."""
    sae = MatryoshkaAutoencoder(CONFIG, d_model=5)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        sae.b_enc.normal_(0, 0.3, generator=generator)
        sae.b_dec.normal_(0, 0.3, generator=generator)
    return sae


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(40, 5, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("n_latents", "shares", "ends"),
    [
        (1024, (1 / 8, 1 / 4, 1 / 2, 1.0), [128, 256, 512, 1024]),
        (100, (0.33, 1.0), [33, 100]),
        (4, (1 / 16, 1.0), [1, 4]),  # never none
    ],
)
def test_levels_end_at_their_shares(
    n_latents: int, shares: tuple[float, ...], ends: list[int]
) -> None:
    config = AutoencoderConfig(
        kind="matryoshka", n_latents=n_latents, k=1, matryoshka_levels=shares
    )
    assert config.level_ends == ends
    group = MatryoshkaAutoencoder(config, d_model=2).group
    assert group.bincount().cumsum(0).tolist() == ends


def test_a_level_reconstructs_with_its_first_latents_only(
    shifted: MatryoshkaAutoencoder, x: torch.Tensor
) -> None:
    got = torch.stack(shifted.training_pass(x, multiply_float32, early=False).reconstructions)
    torch.testing.assert_close(got, dense_levels(shifted, x), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(got[0], got[1])


def test_gradients_equal_those_of_the_dense_products(
    shifted: MatryoshkaAutoencoder, x: torch.Tensor
) -> None:
    parameters = [shifted.W_enc, shifted.b_enc, shifted.W_dec, shifted.b_dec]
    sparse = (
        (torch.stack(shifted.training_pass(x, multiply_float32, early=False).reconstructions) - x)
        .square()
        .sum()
    )
    dense = (dense_levels(shifted, x) - x).square().sum()
    for got, want in zip(
        torch.autograd.grad(sparse, parameters),
        torch.autograd.grad(dense, parameters),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-3)


def test_the_loss_of_a_step_is_the_mean_over_levels(activations: np.ndarray) -> None:
    config = CONFIG.model_copy(update={"n_epochs": 1, "batch_size": 700})
    *_, step = AutoencoderTrainer(SequenceSource([activations]), config).steps()
    x = torch.from_numpy(activations)
    x = (x - x.mean(0)) / (x - x.mean(0)).square().mean().sqrt()
    start = build_autoencoder(config, 8)
    assert isinstance(start, MatryoshkaAutoencoder)
    with torch.no_grad():
        error = (dense_levels(start, x) - x).square().sum((1, 2)) / x.square().sum()
    assert step.metrics["loss"] == pytest.approx(error.mean().item(), rel=1e-4)
    assert step.metrics["fvu"] == pytest.approx(error[-1].item(), rel=1e-4)
    assert step.metrics["l0"] <= 3


def test_the_first_latents_do_better_alone_than_those_of_batchtopk(
    trained_on_planted: Callable[[str], Any],
) -> None:
    def alone(kind: str, share: float) -> float:
        trained = trained_on_planted(kind)
        sae, end = trained.sae, int(share * 256)
        x = (trained.unseen - sae.input_mean) / sae.input_scale
        z = sae.encode(trained.unseen).dense(256)[:, :end]
        error = (z @ sae.W_dec[:end] + sae.b_dec - x).square().sum()
        return float(error / (x - x.mean(0)).square().sum())

    for share in (1 / 8, 1 / 4, 1 / 2):
        assert alone("matryoshka", share) < 0.9 * alone("batchtopk", share)
    assert alone("matryoshka", 1 / 8) > alone("matryoshka", 1 / 4) > alone("matryoshka", 1 / 2)
