from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reclens.errors import InvalidInput
from reclens.sae import AutoencoderConfig, train_autoencoder
from reclens.sae.analysis.stability import recovered_share

SMALL = AutoencoderConfig(n_latents=32, k=3, batch_size=100, n_epochs=5, learning_rate=0.01)


def test_the_planted_dictionary_is_recovered(
    planted_activations: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    x, directions = planted_activations(d_model=64, n_directions=128, n_active=4, rows=20_000)
    sae, report = train_autoencoder(x, AutoencoderConfig(n_latents=256, k=4))
    assert recovered_share(directions, sae.W_dec.numpy()) >= 0.98
    assert report.fvu < 0.06
    assert report.random_fvu > 0.5
    assert report.l0 == pytest.approx(4, abs=0.01)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_dictionary_without_slack_is_recovered(
    planted_activations: Callable[..., tuple[np.ndarray, np.ndarray]],
    seed: int,
) -> None:
    x, directions = planted_activations(
        d_model=32, n_directions=64, n_active=3, rows=20_000, seed=seed
    )
    sae, _ = train_autoencoder(x, AutoencoderConfig(n_latents=64, k=3, seed=seed))
    assert recovered_share(directions, sae.W_dec.numpy()) >= 0.95


def test_the_report_describes_the_held_out_tenth(activations: np.ndarray) -> None:
    sae, report = train_autoencoder(activations, SMALL)
    assert (report.n_latents, report.k, report.d_model) == (32, 3, 8)
    assert report.activations_seen == 5 * 630
    assert 0 < report.fvu < 0.5 < report.random_fvu
    assert report.l0 <= 3
    assert 0 <= report.dead_fraction < 1
    assert 0.9 < report.cosine <= 1
    assert len(report.curve) == 35
    json.dumps(report.as_metrics(), allow_nan=False)
    assert not sae.training


def test_given_held_out_activations_are_measured_and_never_trained_on(
    activations: np.ndarray,
) -> None:
    held_out = activations[:200]
    _, same = train_autoencoder(activations[200:], SMALL, held_out=held_out)
    _, shifted = train_autoencoder(activations[200:], SMALL, held_out=held_out + 50)
    assert same.activations_seen == 5 * 500
    assert shifted.curve == same.curve
    assert shifted.fvu > same.fvu


def test_all_forms_of_the_same_shards_train_the_same_bytes(
    activations: np.ndarray, tmp_path: Path
) -> None:
    parts = np.array_split(activations, 3)
    forms = {
        "arrays": parts,
        "tensors": [torch.from_numpy(part) for part in parts],
        "iterator": iter(parts),
    }
    saved, reports = set(), []
    for name, form in forms.items():
        sae, report = train_autoencoder(form, SMALL)
        sae.save(tmp_path / name)
        saved.add((tmp_path / name / "weights.safetensors").read_bytes())
        reports.append(report)
    assert len(saved) == 1
    assert all(report == reports[0] for report in reports)


def test_float16_activations_train_close_to_float32(activations: np.ndarray) -> None:
    _, full = train_autoencoder(activations, SMALL)
    _, half = train_autoencoder(activations.astype(np.float16), SMALL)
    assert half.fvu == pytest.approx(full.fvu, rel=0.1)
    assert replace(half, fvu=0, curve=[]) != replace(full, fvu=0, curve=[])


@pytest.mark.parametrize(
    ("x", "config", "field"),
    [
        (np.zeros((0, 8), np.float32), SMALL, "x"),
        ([], SMALL, "x"),
        (np.zeros(8, np.float32), SMALL, "x[0]"),
        (np.eye(8, dtype=np.float32), SMALL.model_copy(update={"d_model": 9}), "d_model"),
        (np.full((5, 8), np.inf, np.float32), SMALL, "x[0][0]"),
    ],
    ids=["no-rows", "no-shards", "one-row", "width", "infinite"],
)
def test_unusable_input_names_field_and_remedy(
    x: object, config: AutoencoderConfig, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        train_autoencoder(x, config)
    assert caught.value.field == field
    assert caught.value.remedy
