"""Autoencoders of every kind, against SAELens with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sae_lens import (
    SAE,
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    JumpReLUTrainingSAE,
    JumpReLUTrainingSAEConfig,
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
    StandardTrainingSAE,
    StandardTrainingSAEConfig,
    TopKTrainingSAE,
    TopKTrainingSAEConfig,
)
from torch import Tensor
from torch.nn import functional

from reclens.sae import SparseAutoencoder
from reclens.sae.activations.sources import as_source
from reclens.sae.analysis.metrics import measure
from reclens.sae.architectures.saelens import load_saelens, save_saelens
from reclens.sae.training.dense import multiply_float32

KINDS = ("topk", "batchtopk", "matryoshka", "jumprelu")
Drawn = Callable[..., SparseAutoencoder]


def same(ours: SparseAutoencoder, theirs: Any, x: Tensor) -> None:
    """Latents, reconstructions and FVU agree, and something fires."""
    with torch.no_grad():
        codes = ours.encode(x)
        z = theirs.encode(x)
        x_hat = theirs.decode(z)
        assert torch.equal(codes.dense(ours.n_latents) > 0, z > 0)
        torch.testing.assert_close(codes.dense(ours.n_latents), z, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours.decode(codes), x_hat, rtol=1e-4, atol=1e-4)
        fvu = (x - x_hat).square().sum() / (x - x.mean(0)).square().sum()
    assert measure(ours, as_source(x.numpy())).fvu == pytest.approx(float(fvu), rel=1e-4)
    assert (z > 0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_saelens_opens_what_is_exported(kind: str, drawn: Drawn, x: Tensor, tmp_path: Path) -> None:
    ours = drawn(kind)
    save_saelens(ours, tmp_path)
    same(ours, SAE.load_from_disk(tmp_path), x)


def foreign(kind: str) -> Any:
    """An autoencoder by SAELens' own training class, before training but for drawn numbers."""
    torch.manual_seed(5)
    sizes: dict[str, Any] = {"d_in": 24, "d_sae": 160}
    sae = {
        "standard": lambda: StandardTrainingSAE(StandardTrainingSAEConfig(**sizes)),
        "topk": lambda: TopKTrainingSAE(TopKTrainingSAEConfig(**sizes, k=6)),
        "topk without norms": lambda: TopKTrainingSAE(
            TopKTrainingSAEConfig(**sizes, k=6, rescale_acts_by_decoder_norm=False)
        ),
        "batchtopk": lambda: BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**sizes, k=6)),
        "matryoshka": lambda: MatryoshkaBatchTopKTrainingSAE(
            MatryoshkaBatchTopKTrainingSAEConfig(**sizes, k=6, matryoshka_widths=[40, 160])
        ),
        "jumprelu": lambda: JumpReLUTrainingSAE(
            JumpReLUTrainingSAEConfig(**sizes, jumprelu_init_threshold=0.5)
        ),
    }[kind]()
    with torch.no_grad():
        sae.b_enc += 0.1 * torch.randn(160)
        sae.b_dec += 0.5 * torch.randn(24)
        sae.W_dec *= 0.5 + torch.rand(160, 1)
        if hasattr(sae, "topk_threshold"):
            sae.topk_threshold += 0.03
    return sae


@pytest.mark.parametrize(
    "kind", ["standard", "topk", "topk without norms", "batchtopk", "matryoshka", "jumprelu"]
)
def test_what_saelens_saves_is_opened_here(kind: str, x: Tensor, tmp_path: Path) -> None:
    foreign(kind).save_inference_model(tmp_path)
    same(load_saelens(tmp_path), SAE.load_from_disk(tmp_path), x)


def with_weights(theirs: Any, ours: SparseAutoencoder) -> Any:
    """``theirs`` with the parameters of ``ours``."""
    with torch.no_grad():
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            getattr(theirs, name).copy_(getattr(ours, name))
    return theirs


def of_equal_length(x: Tensor) -> Tensor:
    """The same directions, none of which more latents explain than a training step allows one."""
    return functional.normalize(x) * x.shape[1] ** 0.5


def in_training(ours: SparseAutoencoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """Latents [batch, n_latents] and reconstructions [levels, batch, d_model] of a step."""
    forward = ours.training_pass(x, multiply_float32, early=False)
    return forward.values.detach(), torch.stack(forward.reconstructions).detach()


def test_a_training_batch_of_matryoshka_has_the_same_latents_and_levels(
    drawn: Drawn, x: Tensor
) -> None:
    ours = drawn("matryoshka", normalised=False)
    widths = ours.config.level_ends
    config = MatryoshkaBatchTopKTrainingSAEConfig(
        d_in=24,
        d_sae=160,
        k=6,
        matryoshka_widths=widths,
        apply_b_dec_to_input=True,
        rescale_acts_by_decoder_norm=False,
    )
    theirs = with_weights(MatryoshkaBatchTopKTrainingSAE(config), ours)
    x = of_equal_length(x)
    z, levels = in_training(ours, x)
    their_z, _ = theirs.encode_with_hidden_pre(x)
    torch.testing.assert_close(z, their_z.detach(), rtol=1e-4, atol=1e-5)
    assert int((z > 0).sum()) == 6 * len(x)
    assert len({int(fired) for fired in (z > 0).sum(1)}) > 1
    nested = [decoded for _, decoded in theirs._iterable_decode(their_z, include_outer_loss=True)]
    torch.testing.assert_close(levels, torch.stack(nested).detach(), rtol=1e-4, atol=1e-4)


def test_gradients_of_jumprelu_are_those_of_saelens(drawn: Drawn, x: Tensor) -> None:
    # A window so narrow that no more latents are in it than a step can take.
    ours = drawn("jumprelu", normalised=False, bandwidth=0.25)
    threshold = dict(ours.named_parameters())["log_threshold"]
    config = JumpReLUTrainingSAEConfig(
        d_in=24,
        d_sae=160,
        apply_b_dec_to_input=True,
        jumprelu_bandwidth=ours.config.bandwidth,
        jumprelu_sparsity_loss_mode="step",
    )
    theirs = with_weights(JumpReLUTrainingSAE(config), ours)
    with torch.no_grad():
        theirs.threshold.copy_(threshold.exp())
    x = of_equal_length(x)
    x_hat = ours.training_pass(x, multiply_float32, early=False).reconstructions[-1]
    (x - x_hat).square().mean().backward()
    z, _ = theirs.encode_with_hidden_pre(x)
    (x - theirs.decode(z)).square().mean().backward()
    torch.testing.assert_close(x_hat, theirs.decode(z), rtol=1e-4, atol=1e-4)
    for name in ("W_enc", "b_enc", "W_dec"):
        torch.testing.assert_close(
            getattr(ours, name).grad, getattr(theirs, name).grad, rtol=1e-3, atol=1e-5
        )
    # Ours is of log θ: d/dlogθ = θ · d/dθ.
    expected = theirs.threshold.grad * theirs.threshold.detach()
    torch.testing.assert_close(threshold.grad, expected, rtol=1e-3, atol=1e-5)
    assert (expected != 0).any()
