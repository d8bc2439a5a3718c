"""The default autoencoder on the representations of the default SASRec, held-out users."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reclens.contracts import AutoencoderConfig
from reclens.recommenders import capture_cases
from reclens.sae import train_autoencoder

pytestmark = pytest.mark.quality


@pytest.fixture(scope="module")
def by_user(sasrec: Any) -> tuple[np.ndarray, np.ndarray]:
    """Every prefix's representation, split into those of 70 % and 30 % of the users."""
    batches = list(capture_cases(sasrec.model, sasrec.dataset, kind="prefixes"))
    x = np.concatenate([batch.representation for batch in batches])
    users = np.concatenate([batch.user_index for batch in batches])
    order = np.random.default_rng(0).permutation(sasrec.dataset.n_users)
    held_out = np.isin(users, order[: round(0.3 * sasrec.dataset.n_users)])
    return x[~held_out], x[held_out]


def test_held_out_users_are_reconstructed_by_living_latents(
    by_user: tuple[np.ndarray, np.ndarray],
) -> None:
    x, held_out = by_user
    _, report = train_autoencoder(x, AutoencoderConfig(), held_out=held_out)
    assert (report.d_model, report.n_latents, report.k) == (64, 1024, 16)
    assert report.fvu <= 0.06
    assert report.dead_fraction <= 0.02
    assert report.l0 == pytest.approx(16, abs=0.01)
    assert report.random_fvu > 10 * report.fvu
