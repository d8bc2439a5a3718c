"""The compiled loops give what PyTorch's differentiation of the dense products gives."""

from __future__ import annotations

import pytest
import torch

from reclens.sae import AutoencoderConfig, Scorer, SparseAutoencoder, build_autoencoder
from reclens.sae.compiled_gradients import CompiledGradients
from reclens.sae.gradients import AutogradGradients, Measured
from reclens.sae.prediction import PredictionTerm

KINDS = ["topk", "batchtopk", "matryoshka", "jumprelu"]
# (batch, d_model, n_latents, k): small, and of sizes that fit no block of the loops.
SHAPES = [(2, 3, 9, 2), (77, 13, 201, 5), (50, 64, 130, 16)]
NONE = torch.empty(0, dtype=torch.int64)


def drawn(kind: str, d_model: int, n_latents: int, k: int) -> SparseAutoencoder:
    """Weights off their start, so that encoder and decoder differ and no bias is zero."""
    config = AutoencoderConfig(kind=kind, n_latents=n_latents, k=k)  # type: ignore[arg-type]
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
) -> list[tuple[Measured, dict[str, torch.Tensor]]]:
    """What is measured and the gradients, by PyTorch and by the loops."""
    x = 2 * torch.randn(batch, sae.d_model, generator=torch.Generator().manual_seed(2))
    results = []
    for gradients in (AutogradGradients, CompiledGradients):
        sae.zero_grad()
        step = gradients(sae, k_auxiliary=4, prediction=prediction)
        measured = step(x, step=3, progress=progress, dead=dead)
        grads = {name: p.grad.clone() for name, p in sae.named_parameters() if p.grad is not None}
        results.append((measured, grads))
    return results


def assert_alike(results: list[tuple[Measured, dict[str, torch.Tensor]]]) -> None:
    (want, want_grads), (got, got_grads) = results
    assert got.loss == pytest.approx(want.loss, rel=1e-5)
    assert got.fvu == pytest.approx(want.fvu, rel=1e-5)
    assert got.l0 == want.l0 > 0
    assert torch.equal(got.fired, want.fired)
    assert set(got_grads) == set(want_grads)
    for name, grad in want_grads.items():
        assert grad.abs().max() > 0, name
        torch.testing.assert_close(
            got_grads[name], grad, rtol=1e-3, atol=1e-5 * float(grad.abs().max()), msg=name
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("batch", "d_model", "n_latents", "k"), SHAPES)
def test_reconstruction(kind: str, batch: int, d_model: int, n_latents: int, k: int) -> None:
    assert_alike(both(drawn(kind, d_model, n_latents, k), batch))


def test_the_wider_reconstruction_of_early_training() -> None:
    sae = drawn("topk", 13, 201, 5)
    early, late = both(sae, 77, progress=0.1), both(sae, 77, progress=0.9)
    assert_alike(early)
    assert early[0][0].loss > late[0][0].loss
    assert early[0][0].fvu == pytest.approx(late[0][0].fvu)
    assert early[0][0].l0 == late[0][0].l0  # the wider one does not count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_dead", [1, 30])
def test_revival_of_dead_latents(kind: str, n_dead: int) -> None:
    sae = drawn(kind, 13, 201, 5)
    dead = torch.arange(0, 201, 6)[:n_dead]
    with torch.no_grad():
        sae.b_enc[dead] -= 9  # far below zero, where only AuxK has a gradient for them
    results = both(sae, 77, dead=dead)
    assert_alike(results)
    assert not results[1][0].fired[dead].any()
    assert results[1][1]["W_enc"][:, dead].abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_prediction_aware_term(kind: str) -> None:
    sae = drawn(kind, 13, 201, 5)
    sae.config = sae.config.model_copy(update={"prediction_coefficient": 2.0})
    generator = torch.Generator().manual_seed(5)
    scorer = Scorer(torch.randn(30, 13, generator=generator), torch.randn(30, generator=generator))
    term = PredictionTerm(scorer, sae.input_mean, sae.input_scale, n_items=20, seed=0)
    results = both(sae, 77, prediction=term)
    assert_alike(results)
    assert results[1][0].loss > both(sae, 77)[1][0].loss


def test_a_batch_for_which_nothing_fires() -> None:
    sae = drawn("batchtopk", 13, 201, 5)
    with torch.no_grad():
        sae.b_enc -= 100
    (want, want_grads), (got, got_grads) = both(sae, 8)
    assert (got.l0, want.l0) == (0, 0)
    assert got.loss == pytest.approx(want.loss, rel=1e-5)
    torch.testing.assert_close(got_grads["b_dec"], want_grads["b_dec"])
    assert not got_grads["W_dec"].any()
    assert not got_grads["W_enc"].any()
