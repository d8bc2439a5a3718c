"""TopK and AuxK, against sparsify with the same weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from sparsify import SaeConfig, SparseCoder
from torch import Tensor

from reclens.sae import SparseAutoencoder
from reclens.sae.activations.sources import as_source
from reclens.sae.analysis.metrics import measure
from reclens.sae.architectures.losses import auxiliary_loss, fvu
from reclens.sae.training.dense import multiply_float32

Drawn = Callable[..., SparseAutoencoder]


@pytest.fixture
def ours(drawn: Drawn) -> SparseAutoencoder:
    return drawn("topk", normalised=False)


@pytest.fixture
def theirs(ours: SparseAutoencoder) -> SparseCoder:
    """The same weights; sparsify does not normalise its input."""
    coder = SparseCoder(ours.d_model, SaeConfig(num_latents=ours.n_latents, k=ours.k))
    assert coder.W_dec is not None
    with torch.no_grad():
        coder.encoder.weight.copy_(ours.W_enc.T)
        coder.encoder.bias.copy_(ours.b_enc)
        coder.W_dec.copy_(ours.W_dec)
        coder.b_dec.copy_(ours.b_dec)
    return coder


def test_latents_reconstructions_and_fvu_are_the_same(
    ours: SparseAutoencoder, theirs: SparseCoder, x: Tensor
) -> None:
    with torch.no_grad():
        codes, out = ours.encode(x), theirs(x)
    strongest = out.latent_acts.sort(dim=1, descending=True)
    assert torch.equal(codes.indices, out.latent_indices.gather(1, strongest.indices))
    torch.testing.assert_close(codes.values, strongest.values, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.decode(codes), out.sae_out, rtol=1e-4, atol=1e-4)
    measured = measure(ours, as_source(x.numpy()))
    assert measured.fvu == pytest.approx(float(out.fvu), rel=1e-4)
    assert measured.l0 == 6


def test_gradients_are_the_same(ours: SparseAutoencoder, theirs: SparseCoder, x: Tensor) -> None:
    forward = ours.training_pass(x, multiply_float32, early=False)
    assert (
        (forward.values > 0).sum(1) == 6
    ).all()  # sparsify lets gradients through a ReLU that is shut
    fvu(x, forward.reconstructions[-1]).backward()
    theirs(x).fvu.backward()
    assert theirs.W_dec is not None
    for mine, other in (
        (ours.W_enc.grad, theirs.encoder.weight.grad.T),
        (ours.b_enc.grad, theirs.encoder.bias.grad),
        (ours.W_dec.grad, theirs.W_dec.grad),
        (ours.b_dec.grad, theirs.b_dec.grad),
    ):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-6)


def test_auxk_is_the_same_where_the_definitions_meet(
    ours: SparseAutoencoder, theirs: SparseCoder, x: Tensor
) -> None:
    """sparsify divides by the variance of ``x``, the paper and we by that of the residual.

    sparsify also cuts dead pre-activations at zero, where a dead latent has no gradient; with a
    bias that keeps the strongest ones above it, both have the same ``ê``.
    """
    dead = torch.zeros(ours.n_latents, dtype=torch.bool)
    dead[100:] = True
    with torch.no_grad():
        ours.b_enc[dead] += 5
        theirs.encoder.bias[dead] += 5
        ours.b_enc[~dead] += 50
        theirs.encoder.bias[~dead] += 50
        out = theirs(x, dead_mask=dead)
        latents = dead.nonzero()[:, 0]
        k_auxiliary = ours.d_model // 2
        indices, pre = ours.strongest(x, k_auxiliary, latents=latents)
        residual_hat = torch.einsum("bk,bkd->bd", pre, ours.W_dec[indices])
        x_hat = ours(x)
        loss = auxiliary_loss(x, x_hat, residual_hat, n_dead=len(latents), k_auxiliary=k_auxiliary)
        residual = x - x_hat
        ratio = (residual - residual.mean(0)).square().sum() / (x - x.mean(0)).square().sum()
    assert (pre > 0).all()
    torch.testing.assert_close(loss * ratio, out.auxk_loss, rtol=1e-3, atol=1e-5)
