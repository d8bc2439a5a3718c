"""What every sparse autoencoder must do, as a suite to inherit.

    class TestGated(AutoencoderSuite):
        kind = "gated"

`kind` is the name of the entry point, so the package has to be installed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
import torch

from reclens.contracts import AutoencoderConfig, AutoencoderSpec
from reclens.contracts.specs.autoencoder import AUTOENCODERS
from reclens.sae import (
    AutoencoderReport,
    AutoencoderTrainer,
    SparseAutoencoder,
    build_autoencoder,
    load_autoencoder,
    train_autoencoder,
)
from reclens.sae.activations.sources import SequenceSource
from reclens.sae.analysis.stability import recovered_share
from reclens.sae.architectures.closed_form import ClosedFormAutoencoder
from reclens.sae.architectures.fused import offers_fused_training
from reclens.sae.architectures.registry import architecture
from reclens.sae.cpu.selection import compiled_kernels
from reclens.sae.training.dense import DenseDifferentiation, Differentiation, TrainingBatch

BeginTraining = Callable[..., AutoencoderTrainer]
"""Maker of a trainer, of the suite's configuration with changes."""


def trained_kinds() -> list[str]:
    """Kinds that are installed and learn by gradients."""
    names = AUTOENCODERS.names()
    return [name for name in names if not issubclass(architecture(name), ClosedFormAutoencoder)]


def planted_activations(
    *, d_model: int, n_directions: int, n_active: int, rows: int, seed: int = 0, noise: float = 0.01
) -> tuple[np.ndarray, np.ndarray]:
    """Activations ``z D + noise`` [rows, d_model], and their unit directions ``D``."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(n_directions, d_model))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    order = rng.permuted(np.tile(np.arange(n_directions), (rows, 1)), axis=1)
    z = np.zeros((rows, n_directions))
    np.put_along_axis(z, order[:, :n_active], rng.uniform(0.5, 1.5, (rows, n_active)), axis=1)
    x = z @ directions
    x += noise * x.std() * rng.normal(size=x.shape)
    return x.astype(np.float32), directions


class Trained(NamedTuple):
    """An autoencoder trained on planted activations."""

    sae: SparseAutoencoder
    report: AutoencoderReport
    directions: np.ndarray
    unseen: torch.Tensor
    """Activations from the same directions that it was not trained on."""


def train_on_planted(kind: str, **own: Any) -> Trained:
    """The autoencoder of a kind, 256 latents of which 4 fire, trained once a session.

    Its 18,000 activations are 64 wide and made of 4 of 128 directions each.
    """
    config = {"n_latents": 256, "k": 4, "kind": kind, **own}
    return _train_on_planted(AutoencoderConfig.parse(config))


@cache
def _train_on_planted(config: AutoencoderConfig) -> Trained:
    x, directions = planted_activations(d_model=64, n_directions=128, n_active=4, rows=20_000)
    sae, report = train_autoencoder(x[:18_000], config, held_out=x[18_000:])
    return Trained(sae, report, directions, torch.from_numpy(x[18_000:]))


def gradients_of(
    make: Callable[[SparseAutoencoder], Differentiation], sae: SparseAutoencoder, x: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Metrics of one late step on normalised ``x``, and the gradients by parameter."""
    sae.zero_grad()
    dead = torch.arange(sae.n_latents) % 7 == 0
    metrics = make(sae)(TrainingBatch(x, dead, step=3, progress=0.9)).metrics
    return metrics, {
        name: parameter.grad.clone()
        for name, parameter in sae.named_parameters()
        if parameter.grad is not None
    }


class AutoencoderSuite:
    """Inherit it, and name the kind."""

    kind: str
    """Name of the entry point."""
    own: ClassVar[dict[str, Any]] = {}
    """Fields of the kind's own configuration, where the defaults do not suit small data."""
    recovers: float = 0.9
    """Share of planted directions that it must find."""
    l0_tolerance: float | None = 0.1
    """How far the mean number of latents may be from k, relatively; None: k is no target."""

    @pytest.fixture
    def config(self) -> AutoencoderConfig:
        """Seven steps an epoch; latents die within the first, so that AuxK takes part."""
        common = {"n_latents": 64, "k": 3, "batch_size": 100, "n_epochs": 3, "seed": 1}
        rates = {"learning_rate": 0.01, "dead_after": 150}
        return AutoencoderConfig.parse({**common, **rates, "kind": self.kind, **self.own})

    @pytest.fixture
    def activations(self) -> np.ndarray:
        """700 correlated activations, 8 wide, off centre and not of unit scale."""
        rng = np.random.default_rng(7)
        x = rng.normal(size=(700, 5)) @ rng.normal(size=(5, 8)) * 3 + rng.normal(size=8) * 10
        return x.astype(np.float32)

    @pytest.fixture
    def begin(self, activations: np.ndarray, config: AutoencoderConfig) -> BeginTraining:
        """Maker of a trainer on three shards, of the config with changes."""
        source = SequenceSource(np.array_split(activations, 3))
        return lambda **update: AutoencoderTrainer(source, config.model_copy(update=update))

    @pytest.fixture
    def uninterrupted(self, begin: BeginTraining, tmp_path: Path) -> bytes:
        """What a whole training leaves, in bytes."""
        trainer = begin()
        steps = [progress for progress in trainer.steps() if progress.stage == "train"]
        assert len(steps) == trainer.total_steps == 21
        return saved_bytes(trainer, tmp_path / "uninterrupted")

    @pytest.fixture
    def drawn(self, config: AutoencoderConfig) -> SparseAutoencoder:
        """Weights off their start, so that encoder and decoder differ and no bias is zero."""
        sae = build_autoencoder(config, 8)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in sae.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        return sae

    def test_a_specification_survives_json(self, config: AutoencoderConfig) -> None:
        spec = AutoencoderSpec(activations="activations/0123456789abcdef", config=config)
        again = AutoencoderSpec.parse(spec.model_dump_json())
        assert again == spec
        assert again.artifact_ref() == spec.artifact_ref()

    def test_shapes_and_start(self, config: AutoencoderConfig) -> None:
        sae = build_autoencoder(config, 8)
        assert isinstance(sae.config, type(sae).Config)
        assert (sae.d_model, sae.n_latents, sae.k) == (8, 64, 3)
        assert sae.W_enc.shape == (8, 64)
        assert sae.W_dec.shape == (64, 8)
        assert sae.b_enc.shape == (64,)
        assert sae.b_dec.shape == (8,)
        torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(64))
        assert torch.equal(sae.W_dec, build_autoencoder(config, 8).W_dec)

    def test_codes_are_sorted_and_never_negative(
        self, drawn: SparseAutoencoder, activations: np.ndarray
    ) -> None:
        with torch.no_grad():
            codes = drawn.encode(torch.from_numpy(activations / 10))
        assert codes.indices.shape == codes.values.shape
        assert codes.indices.dtype == torch.int64
        assert codes.values.dtype == torch.float32
        assert (codes.values >= 0).all()
        assert (codes.values.diff(dim=1) <= 0).all()
        fires = codes.values > 0
        assert fires.any()
        for latents, firing in zip(codes.indices, fires, strict=True):
            assert len(set(latents[firing].tolist())) == int(firing.sum())

    def test_decoding_is_the_sum_of_directions(
        self, drawn: SparseAutoencoder, activations: np.ndarray
    ) -> None:
        x = torch.from_numpy(activations / 10)
        with torch.no_grad():
            codes = drawn.encode(x)
            expected = codes.dense(64) @ drawn.W_dec + drawn.b_dec
            expected = expected * drawn.input_scale + drawn.input_mean
            torch.testing.assert_close(drawn.decode(codes), expected, rtol=1e-4, atol=1e-5)
            assert torch.equal(drawn(x), drawn.decode(codes))
            one = drawn.encode(x[:1])
        torch.testing.assert_close(one.dense(64), codes.dense(64)[:1], rtol=1e-4, atol=1e-5)

    def test_gradients_are_finite(self, drawn: SparseAutoencoder) -> None:
        x = 2 * torch.randn(77, 8, generator=torch.Generator().manual_seed(2))
        metrics, gradients = gradients_of(DenseDifferentiation, drawn, x)
        assert metrics.isfinite().all()
        assert {"W_enc", "b_enc", "W_dec", "b_dec"} <= gradients.keys()
        for name, gradient in gradients.items():
            assert gradient.isfinite().all(), name
            assert gradient.any(), name

    def test_the_fused_step_is_the_plain_one(self, drawn: SparseAutoencoder) -> None:
        if compiled_kernels(torch.device("cpu")) is None or not offers_fused_training(drawn):
            pytest.skip("plain PyTorch trains it")
        from reclens.sae.training.fused import FusedDifferentiation  # noqa: PLC0415 - numba

        x = 2 * torch.randn(77, 8, generator=torch.Generator().manual_seed(2))
        want_metrics, want = gradients_of(DenseDifferentiation, drawn, x)
        metrics, got = gradients_of(FusedDifferentiation, drawn, x)
        torch.testing.assert_close(metrics, want_metrics.double(), rtol=1e-5, atol=1e-6)
        for name, gradient in want.items():
            atol = 1e-5 * float(gradient.abs().max())
            torch.testing.assert_close(got[name], gradient, rtol=1e-3, atol=atol, msg=name)

    def test_the_same_seed_gives_the_same_bytes(
        self, begin: BeginTraining, uninterrupted: bytes, tmp_path: Path
    ) -> None:
        again, other = begin(), begin(seed=2)
        for trainer in (again, other):
            list(trainer.steps())
        assert saved_bytes(again, tmp_path / "again") == uninterrupted
        assert saved_bytes(other, tmp_path / "other") != uninterrupted

    @pytest.mark.parametrize("cut", [1, 3, 4, 8, 10, 11, 16, 23, 24])
    def test_resume_equals_uninterrupted_byte_for_byte(
        self, begin: BeginTraining, uninterrupted: bytes, tmp_path: Path, cut: int
    ) -> None:
        # Yields: 3 shards measured, then 7 steps an epoch. Cuts fall before, in and between epochs.
        first = begin()
        running = first.steps()
        for _ in itertools.islice(running, cut):
            pass
        tensors, meta = first.state()
        meta = json.loads(json.dumps(meta))
        next(running, None)  # the state must not change with the trainer it came from

        second = begin()
        second.restore(tensors, meta)
        list(second.steps())
        assert saved_bytes(second, tmp_path / "resumed") == uninterrupted

    def test_several_cuts_in_a_row_change_nothing(
        self, begin: BeginTraining, uninterrupted: bytes, tmp_path: Path
    ) -> None:
        trainer = begin()
        while sum(1 for _ in itertools.islice(trainer.steps(), 5)) == 5:
            following = begin()
            following.restore(*trainer.state())
            trainer = following
        assert saved_bytes(trainer, tmp_path / "resumed") == uninterrupted

    def test_what_is_saved_encodes_alike_when_loaded(
        self, begin: BeginTraining, activations: np.ndarray, tmp_path: Path
    ) -> None:
        trainer = begin()
        list(trainer.steps())
        names = trainer.sae.save(tmp_path / "a")
        loaded, x = load_autoencoder(tmp_path / "a"), torch.from_numpy(activations)
        assert loaded.config == trainer.sae.config
        assert torch.equal(loaded.encode(x).dense(64), trainer.sae.encode(x).dense(64))
        assert torch.equal(loaded(x), trainer.sae(x))
        loaded.save(tmp_path / "b")
        for name in names:
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    def test_the_planted_dictionary_is_recovered(self) -> None:
        trained = train_on_planted(self.kind, **self.own)
        found = recovered_share(trained.directions, trained.sae.W_dec.numpy())
        assert found >= self.recovers
        assert trained.report.fvu < 0.1
        assert trained.report.random_fvu > 0.5

    def test_l0_of_unseen_activations_is_near_k(self) -> None:
        if self.l0_tolerance is None:
            pytest.skip("k is no target")
        trained = train_on_planted(self.kind, **self.own)
        assert trained.report.l0 == pytest.approx(4, rel=self.l0_tolerance)


def saved_bytes(trainer: AutoencoderTrainer, folder: Path) -> bytes:
    """Weights, training curve and count of activations of a trainer."""
    trainer.sae.save(folder)
    weights = (folder / "weights.safetensors").read_bytes()
    return weights + json.dumps([trainer.curve, trainer.activations_seen]).encode()
