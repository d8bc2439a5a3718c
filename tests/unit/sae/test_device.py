"""Autoencoders off the CPU: on a pretended device, which refuses tensors of another."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, NOT_DETERMINISTIC_ON_CUDA, pretend_device

from reclens.contracts import AutoencoderConfig
from reclens.sae import (
    AutoencoderTrainer,
    Scorer,
    latent_statistics,
    load_autoencoder,
    measure,
    report,
)
from reclens.sae.activations.sources import SequenceSource
from reclens.testing.autoencoders import trained_kinds
from reclens_trainer.stages.train import write_codes

# Seven steps an epoch; latents die within the first, so that AuxK takes part.
COMMON = {
    "n_latents": 64,
    "k": 3,
    "batch_size": 100,
    "n_epochs": 3,
    "learning_rate": 0.01,
    "dead_after": 150,
    "seed": 1,
    "prediction_coefficient": 0.1,
    "prediction_items": 10,
}
SCORER = Scorer(torch.linspace(-1, 1, 20 * 8).reshape(20, 8), torch.zeros(20))
MEASURED = 3
"""Progress before the first step: a shard each."""


@pytest.fixture(params=trained_kinds())
def config(request: pytest.FixtureRequest) -> AutoencoderConfig:
    return AutoencoderConfig.parse({**COMMON, "kind": request.param})


@pytest.fixture
def source(activations: np.ndarray) -> SequenceSource:
    return SequenceSource(np.array_split(activations, 3))


def state_bytes(trainer: AutoencoderTrainer) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in trainer.state()[0].items()}


def test_the_pretended_device_refuses_a_mixture_and_counts_waits() -> None:
    with pretend_device() as device:
        there = torch.ones(3).to(DEVICE)
        with pytest.raises(RuntimeError, match="two devices"):
            there + torch.ones(3)
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        assert not device.waits
        assert there.sum().item() == 3
        assert device.waits.total() == 1
        there.nonzero()
        there[there > 0]
        there.cpu()
        assert device.waits.total() == 4


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_kind_trains_there_without_a_wait_and_in_a_fixed_order(
    source: SequenceSource, config: AutoencoderConfig, precision: str
) -> None:
    config = config.model_copy(update={"precision": precision})
    with pretend_device() as device:
        trainer = AutoencoderTrainer(source, config, SCORER, device=DEVICE)
        waits = []
        for progress in trainer.steps():
            waits.append(device.waits.total())
            assert progress.stage == "measure" or set(progress.metrics) == {
                "loss", "fvu", "l0", "dead_fraction",
            }  # fmt: skip
        assert trainer.sae.W_dec.device == DEVICE
        # The first and the last step are read; the others only enqueue.
        assert len(waits) == MEASURED + 21
        assert waits[MEASURED] == waits[-2]
        assert waits[-1] == waits[-2] + 1
        assert not device.operations & NOT_DETERMINISTIC_ON_CUDA
    assert [row[0] for row in trainer.curve] == list(range(1, 22))


def test_all_that_follows_training_gives_there_what_it_gives_on_the_cpu(
    source: SequenceSource, config: AutoencoderConfig, activations: np.ndarray, tmp_path: Path
) -> None:
    with pretend_device():
        trainer = AutoencoderTrainer(source, config, SCORER, device=DEVICE)
        list(trainer.steps())
        sae = trainer.sae
        sae.save(tmp_path)
        there = report(sae, source, activations_seen=1, curve=[])
        statistics = latent_statistics(sae, source)
        codes = sae.encode(torch.from_numpy(activations))
        x_hat = sae.decode(codes).cpu()
        shards: Any = _Shards(activations)
        write_codes(sae, shards, 0, tmp_path / "codes.parquet")
        again = load_autoencoder(tmp_path, DEVICE)
        assert again.device == DEVICE
    loaded = load_autoencoder(tmp_path)
    assert type(loaded.W_dec.data) is torch.Tensor
    assert loaded.device == torch.device("cpu")
    here = report(loaded, source, activations_seen=1, curve=[])
    assert there.fvu == pytest.approx(here.fvu, rel=1e-5)
    assert there.random_fvu == pytest.approx(here.random_fvu, rel=1e-5)
    assert there.l0 == here.l0
    np.testing.assert_allclose(statistics.p99, latent_statistics(loaded, source).p99, rtol=1e-5)
    torch.testing.assert_close(x_hat, loaded(torch.from_numpy(activations)))


class _Shards:
    def __init__(self, x: np.ndarray) -> None:
        self._x = x

    def rows(self, _i: int, columns: list[str]) -> tuple[Any, np.ndarray]:
        import pyarrow as pa

        return pa.table({name: ["-"] * len(self._x) for name in columns}), self._x


@pytest.mark.parametrize("cut", [1, 4, 9, 17])
def test_resume_there_equals_uninterrupted_byte_for_byte(
    source: SequenceSource, config: AutoencoderConfig, cut: int
) -> None:
    with pretend_device():
        whole = AutoencoderTrainer(source, config, SCORER, device=DEVICE)
        list(whole.steps())
        first = AutoencoderTrainer(source, config, SCORER, device=DEVICE)
        list(itertools.islice(first.steps(), cut))
        second = AutoencoderTrainer(source, config, SCORER, device=DEVICE)
        second.restore(*first.state())
        list(second.steps())
        assert state_bytes(second) == state_bytes(whole)
        assert second.curve == whole.curve


@pytest.mark.parametrize("begun_there", [True, False])
def test_a_run_that_was_begun_on_one_device_goes_on_on_the_other(
    source: SequenceSource, config: AutoencoderConfig, begun_there: bool
) -> None:
    whole = AutoencoderTrainer(source, config, SCORER)
    list(whole.steps())
    devices = [DEVICE, torch.device("cpu")]
    if not begun_there:
        devices.reverse()
    with pretend_device():
        first = AutoencoderTrainer(source, config, SCORER, device=devices[0])
        list(itertools.islice(first.steps(), MEASURED + 10))
        tensors, meta = first.state()
        assert all(type(array) is np.ndarray for array in tensors.values())
        second = AutoencoderTrainer(source, config, SCORER, device=devices[1])
        second.restore(tensors, meta)
        assert state_bytes(second) == {name: array.tobytes() for name, array in tensors.items()}
        list(second.steps())
        assert second.sae.device == devices[1]
        fvu = measure(second.sae, source).fvu
    assert len(second.curve) == len(whole.curve) == 21
    assert fvu == pytest.approx(measure(whole.sae, source).fvu, rel=0.05)
