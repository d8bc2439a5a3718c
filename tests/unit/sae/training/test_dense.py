"""The dense step: trains as the compiled one does, in bfloat16 and by a compiler too."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import numpy as np
import pytest
import torch

from reclens.contracts import AutoencoderConfig, AutoencoderSpec
from reclens.errors import InvalidInput
from reclens.sae import (
    AutoencoderTrainer,
    Scorer,
    SparseAutoencoder,
    build_autoencoder,
    measure,
    train_autoencoder,
)
from reclens.sae.activations.sources import SequenceSource
from reclens.sae.cpu.selection import compiled_kernels
from reclens.sae.training.dense import DenseDifferentiation
from reclens.testing.autoencoders import trained_kinds

KINDS = trained_kinds()
# Latents die within the first epoch, so that AuxK takes part.
COMMON = {"n_latents": 64, "k": 3, "batch_size": 100, "n_epochs": 6, "seed": 1}
COMMON |= {"learning_rate": 0.01, "dead_after": 150}
CONFIG = AutoencoderConfig.parse(COMMON)


class DenseTrainer(AutoencoderTrainer):
    """Takes dense steps on a CPU, as the trainer does where numba is not installed."""

    def _differentiation(self, sae: SparseAutoencoder) -> DenseDifferentiation:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("reclens.sae.training.trainer.compiled_kernels", lambda _: None)
            step = super()._differentiation(sae)
        assert isinstance(step, DenseDifferentiation)
        return step


def dense_trainer(
    x: np.ndarray, config: AutoencoderConfig, scorer: Scorer | None = None, **options: bool
) -> AutoencoderTrainer:
    return DenseTrainer(SequenceSource([x]), config, scorer, **options)


def run(trainer: AutoencoderTrainer) -> list[dict[str, float]]:
    return [p.metrics for p in trainer.steps() if p.stage == "train"]


@pytest.mark.skipif(compiled_kernels(torch.device("cpu")) is None, reason="needs numba")
@pytest.mark.parametrize("prediction", [0.0, 0.1], ids=["plain", "prediction"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_training_equals_the_compiled_one_up_to_rounding(
    activations: np.ndarray, kind: str, prediction: float
) -> None:
    config = AutoencoderConfig.parse({**COMMON, "kind": kind, "prediction_coefficient": prediction})
    weights = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    scorer = Scorer(weights, torch.zeros(20))
    compiled = AutoencoderTrainer(SequenceSource([activations]), config, scorer)
    dense = dense_trainer(activations, config, scorer)
    told = run(compiled)
    run(dense)
    assert max(metrics["dead_fraction"] for metrics in told) > 0  # AuxK had a part
    # Where rounding turns a sign, a parameter goes another way; there are few such places.
    mine, theirs = dense.sae.W_dec, compiled.sae.W_dec
    assert (mine - theirs).abs().mean() < 5e-3
    source = SequenceSource([activations])
    assert measure(dense.sae, source).fvu == pytest.approx(
        measure(compiled.sae, source).fvu, rel=0.05
    )
    np.testing.assert_allclose(dense.curve[:5], compiled.curve[:5], rtol=1e-4)
    assert len(dense.curve) == len(compiled.curve)
    assert dense.state()[1].keys() == compiled.state()[1].keys()


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_trains_to_the_same_error(
    planted_activations: Callable[..., tuple[np.ndarray, np.ndarray]], kind: str
) -> None:
    x, _ = planted_activations(d_model=32, n_directions=64, n_active=3, rows=4400)
    config = AutoencoderConfig(kind=kind, n_latents=128, k=3, n_epochs=12)  # type: ignore[arg-type]
    reports = {
        precision: train_autoencoder(
            x[:4000], config.model_copy(update={"precision": precision}), held_out=x[4000:]
        )
        for precision in ("float32", "bfloat16")
    }
    sae, report = reports["bfloat16"]
    # Another run of the same training: as far apart as two seeds are, not more.
    assert report.fvu == pytest.approx(reports["float32"][1].fvu, rel=0.35)
    assert report.l0 == pytest.approx(reports["float32"][1].l0, rel=0.1)
    assert {value.dtype for value in sae.state_dict().values() if value.is_floating_point()} == {
        torch.float32
    }


def test_bfloat16_multiplies_in_bfloat16_and_keeps_all_else(activations: np.ndarray) -> None:
    config = CONFIG.model_copy(update={"precision": "bfloat16"})
    sae = build_autoencoder(config, 8)
    differentiation = DenseDifferentiation(sae)
    x = torch.from_numpy(activations[:50])
    none = torch.zeros(64, dtype=torch.bool)
    losses = differentiation.losses((x - x.mean(0)) / x.std(), none, early=True)
    forward = losses.passed
    assert torch.equal(forward.products.bfloat16().float(), forward.products)
    assert losses.loss.dtype == forward.values.dtype == torch.float32
    losses.loss.backward()
    assert sae.W_enc.grad is not None
    assert sae.W_enc.grad.dtype == torch.float32


def test_the_precision_is_part_of_what_is_asked_for_and_old_ids_stay() -> None:
    activations = "activations/0123456789abcdef"
    asked = AutoencoderSpec(activations=activations)
    assert "precision" not in asked.canonical()["config"]
    half = AutoencoderSpec(activations=activations, config=AutoencoderConfig(precision="bfloat16"))
    assert half.artifact_ref() != asked.artifact_ref()
    assert AutoencoderSpec.parse(half.canonical()) == half
    assert AutoencoderSpec.parse(asked.canonical()) == asked


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler here")
@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_compiled_step_is_the_step(activations: np.ndarray, kind: str, early: bool) -> None:
    config = AutoencoderConfig.parse({**COMMON, "kind": kind})
    x = torch.from_numpy(activations[:100])
    x = (x - x.mean(0)) / x.std()
    dead = torch.arange(64) < 2
    torch._dynamo.reset()
    found = []
    for compiled in (False, True):
        sae = build_autoencoder(config, 8)
        losses = DenseDifferentiation(sae, compiled=compiled)._losses(x, dead, early)
        losses.loss.backward()
        grads = [parameter.grad for parameter in sae.parameters()]
        found.append([losses.loss.detach(), losses.passed.values.detach(), *grads])
    for eager, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler here")
def test_a_compiled_training_equals_the_other_up_to_rounding(activations: np.ndarray) -> None:
    eager, compiled = (dense_trainer(activations, CONFIG, compiled=c) for c in (False, True))
    torch._dynamo.reset()
    run(eager)
    run(compiled)
    np.testing.assert_allclose(compiled.curve[:5], eager.curve[:5], rtol=1e-4)
    source = SequenceSource([activations])
    mine, theirs = measure(compiled.sae, source).fvu, measure(eager.sae, source).fvu
    assert mine == pytest.approx(theirs, rel=0.05)


def test_a_training_that_diverges_is_stopped_at_the_next_reading(activations: np.ndarray) -> None:
    trainer = dense_trainer(activations, CONFIG)
    steps = trainer.steps()
    for _ in range(4):
        next(steps)
    trainer._read_every = 50  # as it is off the CPU
    with torch.no_grad():
        trainer.sae.b_dec.fill_(torch.inf)
    next(steps)
    with pytest.raises(InvalidInput, match="diverged at step 4") as caught:
        trainer.state()
    assert caught.value.field == "learning_rate"
