"""Activations with a known dictionary, and small trainings."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from reclens.sae import AutoencoderConfig, AutoencoderReport, SparseAutoencoder, train_autoencoder


@pytest.fixture(scope="session")
def planted_activations() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Maker of ``x = z D + noise``: activations [rows, d_model], unit directions [n, d_model]."""

    def make(
        *,
        d_model: int,
        n_directions: int,
        n_active: int,
        rows: int,
        seed: int = 0,
        noise: float = 0.01,
    ) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        directions = rng.normal(size=(n_directions, d_model))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        order = rng.permuted(np.tile(np.arange(n_directions), (rows, 1)), axis=1)
        z = np.zeros((rows, n_directions))
        np.put_along_axis(z, order[:, :n_active], rng.uniform(0.5, 1.5, (rows, n_active)), axis=1)
        x = z @ directions
        x += noise * x.std() * rng.normal(size=x.shape)
        return x.astype(np.float32), directions

    return make


@pytest.fixture(scope="session")
def recovered_share() -> Callable[[np.ndarray, torch.Tensor], float]:
    """Share of directions that a decoder row of their own matches with a cosine above 0.9."""

    def share(directions: np.ndarray, decoder: torch.Tensor) -> float:
        rows = decoder.numpy()
        cosine = directions @ (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
        matched = linear_sum_assignment(-cosine)
        return float((cosine[matched] > 0.9).sum() / len(directions))

    return share


class Trained(NamedTuple):
    """An autoencoder trained on planted activations."""

    sae: SparseAutoencoder
    report: AutoencoderReport
    directions: np.ndarray
    unseen: torch.Tensor
    """Activations from the same directions that it was not trained on."""


@pytest.fixture(scope="session")
def trained_on_planted(
    planted_activations: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> Callable[[str], Trained]:
    """The autoencoder of a kind, 256 latents of which 4 fire, trained once a session.

    Its 18,000 activations are 64 wide and made of 4 of 128 directions each.
    """

    @cache
    def train(kind: str) -> Trained:
        x, directions = planted_activations(d_model=64, n_directions=128, n_active=4, rows=20_000)
        config = AutoencoderConfig(kind=kind, n_latents=256, k=4)  # type: ignore[arg-type]
        sae, report = train_autoencoder(x[:18_000], config, held_out=x[18_000:])
        return Trained(sae, report, directions, torch.from_numpy(x[18_000:]))

    return train


@pytest.fixture
def activations() -> np.ndarray:
    """700 correlated activations, 8 wide, off centre and not of unit scale."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(700, 5)) @ rng.normal(size=(5, 8)) * 3 + rng.normal(size=8) * 10
    return x.astype(np.float32)
