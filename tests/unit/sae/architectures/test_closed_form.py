"""Controls without training, against the singular value decomposition and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reclens.contracts import AutoencoderConfig
from reclens.errors import InvalidInput
from reclens.sae import AutoencoderTrainer, SparseAutoencoder, measure, untrained_like
from reclens.sae.activations.sources import SequenceSource

CONTROLS = ("dimensions", "pca")


def fitted(kind: str, x: np.ndarray, k: int, **options: int) -> SparseAutoencoder:
    config = AutoencoderConfig(kind=kind, k=k, **options)  # type: ignore[arg-type]
    trainer = AutoencoderTrainer(SequenceSource(np.array_split(x, 3)), config)
    stages = {progress.stage for progress in trainer.steps()}
    assert stages == {"measure"}
    assert trainer.total_steps == trainer.activations_seen == 0
    return trainer.sae


@pytest.fixture
def x() -> np.ndarray:
    """500 activations of six dimensions whose components have clearly different variances."""
    rng = np.random.default_rng(3)
    rotation, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    spread = np.array([5.0, 3.0, 2.0, 1.0, 0.5, 0.2])
    return ((rng.normal(size=(500, 6)) * spread) @ rotation + 10).astype(np.float32)


def components(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal directions in falling order, and the variance along each."""
    centred = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    return directions, singular**2 / len(x)


def test_pca_has_both_signs_of_the_principal_directions_in_falling_order(x: np.ndarray) -> None:
    sae = fitted("pca", x, k=2)
    directions, _ = components(x)
    rows = sae.W_dec.numpy()
    assert rows.shape == (12, 6)
    np.testing.assert_array_equal(rows[1::2], -rows[0::2])
    np.testing.assert_allclose(np.abs((rows[0::2] * directions).sum(1)), 1, atol=1e-4)
    np.testing.assert_array_equal(sae.W_enc.numpy(), rows.T)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_pca_keeps_the_k_components_that_are_strongest_in_a_row(x: np.ndarray, k: int) -> None:
    sae = fitted("pca", x, k=k)
    directions, _ = components(x)
    mean = x.mean(0, dtype=np.float64)
    projections = (x - mean) @ directions.T
    weaker = np.abs(projections).argsort(axis=1)[:, : 6 - k]
    np.put_along_axis(projections, weaker, 0.0, axis=1)
    expected = projections @ directions + mean
    np.testing.assert_allclose(sae(torch.from_numpy(x)).numpy(), expected, atol=2e-3)
    codes = sae.encode(torch.from_numpy(x))
    assert (codes.values > 0).all()
    # In units of the scale, a code is the length of a projection.
    np.testing.assert_allclose(
        codes.values.numpy() * sae.input_scale.numpy(),
        -np.sort(-np.abs(projections), axis=1)[:, :k],
        atol=2e-3,
    )


def test_pca_latents_of_both_signs_carry_the_explained_variance(x: np.ndarray) -> None:
    sae = fitted("pca", x, k=6)
    z = sae.encode(torch.from_numpy(x)).dense(12).numpy() * sae.input_scale.numpy()
    signed = z[:, 0::2] - z[:, 1::2]
    _, variances = components(x)
    np.testing.assert_allclose(signed.var(0), variances, rtol=1e-3)
    assert ((z[:, 0::2] > 0) & (z[:, 1::2] > 0)).sum() == 0


@pytest.mark.parametrize("kind", CONTROLS)
def test_all_components_reconstruct_everything(x: np.ndarray, kind: str) -> None:
    sae = fitted(kind, x, k=6)
    np.testing.assert_allclose(sae(torch.from_numpy(x)).numpy(), x, atol=1e-3)


def test_as_many_components_as_the_data_have_reconstruct_them() -> None:
    rng = np.random.default_rng(0)
    flat = (rng.normal(size=(200, 2)) @ rng.normal(size=(2, 7)) - 4).astype(np.float32)
    assert measure(fitted("pca", flat, k=2), SequenceSource([flat])).fvu < 1e-6
    assert measure(fitted("dimensions", flat, k=2), SequenceSource([flat])).fvu > 0.01


def test_dimensions_keep_the_k_largest_deviations_from_the_mean() -> None:
    offset = np.array([100.0, -50.0], np.float32)
    x = np.array([[3, 1], [-1, 3], [-3, -1], [1, -3]], np.float32) + offset
    sae = fitted("dimensions", x, k=1)
    assert sae.W_dec.tolist() == [[1, 0], [-1, 0], [0, 1], [0, -1]]
    codes = sae.encode(torch.from_numpy(x))
    assert codes.indices.flatten().tolist() == [0, 2, 1, 3]
    assert (codes.values.flatten() * 5**0.5).tolist() == pytest.approx([3, 3, 3, 3])
    expected = np.array([[3, 0], [0, 3], [-3, 0], [0, -3]]) + offset
    np.testing.assert_allclose(sae(torch.from_numpy(x)).numpy(), expected, rtol=1e-6)
    assert measure(sae, SequenceSource([x])).fvu == pytest.approx(4 / 40)


@pytest.mark.parametrize("kind", CONTROLS)
def test_width_and_k_follow_from_the_data(x: np.ndarray, kind: str) -> None:
    sae = fitted(kind, x, k=50, n_latents=64)
    assert (sae.n_latents, sae.config.n_latents) == (12, 12)
    assert (sae.k, sae.config.k) == (6, 6)
    assert fitted(kind, x, k=3, n_latents=64).k == 3


@pytest.mark.parametrize("kind", CONTROLS)
def test_their_own_control_is_random(x: np.ndarray, kind: str) -> None:
    control = untrained_like(fitted(kind, x, k=2))
    assert control.config.kind == "topk"
    assert (control.n_latents, control.k) == (12, 2)
    assert not torch.allclose(control.W_dec[1::2], -control.W_dec[0::2])


def test_constant_activations_have_no_components() -> None:
    with pytest.raises(InvalidInput, match="are the same"):
        fitted("pca", np.ones((9, 4), np.float32), k=2)
