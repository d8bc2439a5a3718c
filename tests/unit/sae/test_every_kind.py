"""What holds for every architecture that is trained."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reclens.contracts import AutoencoderConfig
from reclens.sae import AutoencoderTrainer, load_autoencoder
from reclens.sae.activations.sources import SequenceSource

# Seven steps an epoch; latents die within the first, so that AuxK takes part.
CONFIG = AutoencoderConfig(
    n_latents=64, k=3, batch_size=100, n_epochs=3, learning_rate=0.01, dead_after=150, seed=1
)


@pytest.fixture(params=["topk", "batchtopk", "matryoshka", "jumprelu"])
def config(request: pytest.FixtureRequest) -> AutoencoderConfig:
    return CONFIG.model_copy(update={"kind": request.param})


@pytest.fixture
def begin(activations: np.ndarray, config: AutoencoderConfig) -> Callable[..., AutoencoderTrainer]:
    """Maker of a trainer on three shards, of the config with changes."""
    source = SequenceSource(np.array_split(activations, 3))
    return lambda **update: AutoencoderTrainer(source, config.model_copy(update=update))


def saved_bytes(trainer: AutoencoderTrainer, folder: Path) -> bytes:
    trainer.sae.save(folder)
    weights = (folder / "weights.safetensors").read_bytes()
    return weights + json.dumps([trainer.curve, trainer.activations_seen]).encode()


@pytest.fixture
def uninterrupted(begin: Callable[..., AutoencoderTrainer], tmp_path: Path) -> bytes:
    trainer = begin()
    train_steps = [p for p in trainer.steps() if p.stage == "train"]
    assert len(train_steps) == trainer.total_steps == 21
    assert max(p.metrics["dead_fraction"] for p in train_steps) > 0
    return saved_bytes(trainer, tmp_path / "uninterrupted")


def test_the_same_seed_gives_the_same_bytes(
    begin: Callable[..., AutoencoderTrainer], uninterrupted: bytes, tmp_path: Path
) -> None:
    again, other = begin(), begin(seed=2)
    for trainer in (again, other):
        list(trainer.steps())
    assert saved_bytes(again, tmp_path / "again") == uninterrupted
    assert saved_bytes(other, tmp_path / "other") != uninterrupted


@pytest.mark.parametrize("cut", [1, 3, 4, 8, 10, 11, 16, 23, 24])
def test_resume_equals_uninterrupted_byte_for_byte(
    begin: Callable[..., AutoencoderTrainer], uninterrupted: bytes, tmp_path: Path, cut: int
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
    begin: Callable[..., AutoencoderTrainer], uninterrupted: bytes, tmp_path: Path
) -> None:
    trainer = begin()
    while sum(1 for _ in itertools.islice(trainer.steps(), 5)) == 5:
        following = begin()
        following.restore(*trainer.state())
        trainer = following
    assert saved_bytes(trainer, tmp_path / "resumed") == uninterrupted


def test_what_is_saved_encodes_alike_when_loaded(
    begin: Callable[..., AutoencoderTrainer], activations: np.ndarray, tmp_path: Path
) -> None:
    trainer = begin()
    list(trainer.steps())
    trainer.sae.save(tmp_path)
    loaded, x = load_autoencoder(tmp_path), torch.from_numpy(activations)
    assert loaded.config == trainer.sae.config
    assert torch.equal(loaded.encode(x).dense(64), trainer.sae.encode(x).dense(64))
    assert torch.equal(loaded(x), trainer.sae(x))


# `test_training` has topk. Matryoshka gives some latents to what its prefixes share.
@pytest.mark.parametrize(
    ("kind", "share"), [("batchtopk", 0.98), ("matryoshka", 0.94), ("jumprelu", 0.98)]
)
def test_the_planted_dictionary_is_recovered(
    trained_on_planted: Callable[[str], Any],
    recovered_share: Callable[[np.ndarray, torch.Tensor], float],
    kind: str,
    share: float,
) -> None:
    trained = trained_on_planted(kind)
    assert recovered_share(trained.directions, trained.sae.W_dec) >= share
    assert trained.report.fvu < 0.1
    assert trained.report.random_fvu > 0.5
