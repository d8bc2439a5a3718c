"""The compiled loops give what PyTorch's differentiation of dense products gives."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from reclens.sae import AutoencoderConfig, Scorer, SparseAutoencoder, build_autoencoder
from reclens.sae.architectures.losses import PredictionTerm
from reclens.sae.training.dense import DenseDifferentiation, TrainingBatch
from reclens.sae.training.fused import FusedDifferentiation
from reclens.sae.training.trainer import METRICS
from reclens.testing.autoencoders import trained_kinds

KINDS = trained_kinds()
# (batch, d_model, n_latents, k): small, and of sizes that fit no block of the loops.
SHAPES = [(2, 3, 9, 2), (77, 13, 201, 5), (50, 64, 130, 16)]
NONE = torch.empty(0, dtype=torch.int64)


class Taken(NamedTuple):
    """What one step said, and its gradients."""

    metrics: dict[str, float]
    gradients: dict[str, torch.Tensor]
    fired: torch.Tensor


def drawn(kind: str, d_model: int, n_latents: int, k: int) -> SparseAutoencoder:
    """Weights off their start, so that encoder and decoder differ and no bias is zero."""
    config = AutoencoderConfig.parse(
        {"kind": kind, "n_latents": n_latents, "k": k, "k_auxiliary": 4}
    )
    sae = build_autoencoder(config, d_model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return sae


def both(
    sae: SparseAutoencoder,
    batch: int,
    *,
    dead: torch.Tensor = NONE,
    progress: float = 0.9,
    prediction: PredictionTerm | None = None,
) -> tuple[Taken, Taken]:
    """A step by PyTorch and by the loops."""
    x = 2 * torch.randn(batch, sae.d_model, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(sae.n_latents, dtype=torch.bool)
    mask[dead] = True
    taken = []
    for make in (DenseDifferentiation, FusedDifferentiation):
        sae.zero_grad()
        metrics, fired = make(sae, prediction)(TrainingBatch(x, mask, 3, progress))
        gradients: dict[str, torch.Tensor] = {}
        for name, parameter in sae.named_parameters():
            assert parameter.grad is not None
            gradients[name] = parameter.grad.clone()
        told = dict(zip(METRICS, metrics.tolist(), strict=False))
        taken.append(Taken(told, gradients, fired))
    return taken[0], taken[1]


def assert_alike(taken: tuple[Taken, Taken]) -> None:
    want, got = taken
    assert got.metrics == pytest.approx(want.metrics, rel=1e-5)
    assert got.metrics["l0"] > 0
    assert got.fired.any()
    assert torch.equal(got.fired, want.fired)
    for name, gradient in want.gradients.items():
        largest = float(gradient.abs().max())
        assert largest > 0, name
        torch.testing.assert_close(
            got.gradients[name], gradient, rtol=1e-3, atol=1e-5 * largest, msg=name
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("batch", "d_model", "n_latents", "k"), SHAPES)
def test_reconstruction(kind: str, batch: int, d_model: int, n_latents: int, k: int) -> None:
    assert_alike(both(drawn(kind, d_model, n_latents, k), batch))


def test_the_wider_reconstruction_of_early_training() -> None:
    sae = drawn("topk", 13, 201, 5)
    early, late = both(sae, 77, progress=0.1), both(sae, 77, progress=0.9)
    assert_alike(early)
    assert early[1].metrics["loss"] > late[1].metrics["loss"]
    assert early[1].metrics["fvu"] == pytest.approx(late[1].metrics["fvu"])
    assert early[1].metrics["l0"] == late[1].metrics["l0"]  # the wider one does not count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_dead", [1, 30])
def test_revival_of_dead_latents(kind: str, n_dead: int) -> None:
    sae = drawn(kind, 13, 201, 5)
    dead = torch.arange(0, 201, 6)[:n_dead]
    with torch.no_grad():
        sae.b_enc[dead] -= 9  # far below zero, where only AuxK has a gradient for them
    taken = both(sae, 77, dead=dead)
    assert_alike(taken)
    assert not taken[1].fired[dead].any()
    assert taken[1].gradients["W_enc"][:, dead].abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_prediction_aware_term(kind: str) -> None:
    sae = drawn(kind, 13, 201, 5)
    sae.config = sae.config.model_copy(update={"prediction_coefficient": 2.0})
    generator = torch.Generator().manual_seed(5)
    scorer = Scorer(torch.randn(30, 13, generator=generator), torch.randn(30, generator=generator))
    term = PredictionTerm(scorer, sae.input_mean, sae.input_scale, n_items=20, seed=0)
    taken = both(sae, 77, prediction=term)
    assert_alike(taken)
    assert taken[1].metrics["loss"] > both(sae, 77)[1].metrics["loss"]


def test_a_batch_for_which_nothing_fires() -> None:
    sae = drawn("batchtopk", 13, 201, 5)
    with torch.no_grad():
        sae.b_enc -= 100
    want, got = both(sae, 8)
    assert got.metrics["l0"] == want.metrics["l0"] == 0
    assert got.metrics == pytest.approx(want.metrics, rel=1e-5)
    torch.testing.assert_close(got.gradients["b_dec"], want.gradients["b_dec"])
    assert not got.gradients["W_dec"].any()
    assert not got.gradients["W_enc"].any()
