"""Activations with a known dictionary, and small trainings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from reclens.testing import autoencoders
from reclens.testing.autoencoders import Trained


@pytest.fixture(scope="session")
def planted_activations() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Maker of ``x = z D + noise``: activations [rows, d_model], unit directions [n, d_model]."""
    return autoencoders.planted_activations


@pytest.fixture(scope="session")
def trained_on_planted() -> Callable[[str], Trained]:
    """The autoencoder of a kind, 256 latents of which 4 fire, trained once a session."""
    return autoencoders.train_on_planted


@pytest.fixture
def activations() -> np.ndarray:
    """700 correlated activations, 8 wide, off centre and not of unit scale."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(700, 5)) @ rng.normal(size=(5, 8)) * 3 + rng.normal(size=8) * 10
    return x.astype(np.float32)
