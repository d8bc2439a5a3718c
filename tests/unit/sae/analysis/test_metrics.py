from __future__ import annotations

import numpy as np
import pytest
import torch

from reclens.errors import InvalidInput
from reclens.sae import (
    AutoencoderConfig,
    build_autoencoder,
    latent_statistics,
    measure,
    untrained_like,
)
from reclens.sae.activations.sources import SequenceSource
from reclens.sae.architectures.topk import TopKAutoencoder


@pytest.fixture
def positive_axes() -> TopKAutoencoder:
    """Latents +x, +y and one that points to -x, of which one may fire."""
    sae = TopKAutoencoder(AutoencoderConfig(n_latents=3, k=1), d_model=2)
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    with torch.no_grad():
        sae.W_dec.copy_(directions)
        sae.W_enc.copy_(directions.T)
    return sae.requires_grad_(False)


X = np.array([[3.0, 0.0], [4.0, 3.0], [5.0, 0.0], [0.0, 1.0]], np.float32)
# x̂ = (3,0), (4,0), (5,0), (0,1): error 9. Mean (3, 1): deviations 0+1, 1+4, 4+1, 9+0 = 20.


def test_metrics_equal_the_hand_worked_values(positive_axes: TopKAutoencoder) -> None:
    metrics = measure(positive_axes, SequenceSource([X]))
    assert metrics.fvu == pytest.approx(9 / 20)
    assert metrics.l0 == 1.0
    assert metrics.dead_fraction == pytest.approx(1 / 3)
    assert metrics.always_on_fraction == pytest.approx(1 / 3)  # +x fires on three of four
    assert metrics.cosine == pytest.approx((1 + 0.8 + 1 + 1) / 4)


def test_shards_give_the_metrics_of_the_whole(positive_axes: TopKAutoencoder) -> None:
    whole = measure(positive_axes, SequenceSource([X]))
    parts = measure(positive_axes, SequenceSource([X[:1], X[:0], X[1:2], X[2:]]))
    assert vars(parts) == pytest.approx(vars(whole))


def test_a_zero_picked_by_top_k_is_not_alive(positive_axes: TopKAutoencoder) -> None:
    x = np.array([[0.0, -1.0], [0.0, -2.0], [-1.0, -2.0]], np.float32)
    metrics = measure(positive_axes, SequenceSource([x]))
    assert metrics.l0 == pytest.approx(1 / 3)
    assert metrics.dead_fraction == pytest.approx(2 / 3)


def test_data_without_variance_are_refused(positive_axes: TopKAutoencoder) -> None:
    for x in (X[:0], X[:1], np.ones((5, 2), np.float32)):
        with pytest.raises(InvalidInput, match="do not vary"):
            measure(positive_axes, SequenceSource([x]))


def test_the_untrained_control_sees_the_data_alike_and_has_not_learned() -> None:
    sae = TopKAutoencoder(AutoencoderConfig(n_latents=6, k=2, seed=4), d_model=3)
    drawn = sae.W_dec.detach().clone()
    with torch.no_grad():
        sae.W_dec.copy_(sae.W_dec.flip(0))
    sae.input_mean.fill_(2.0)
    sae.input_scale.fill_(3.0)
    control = untrained_like(sae)
    assert torch.equal(control.W_dec, drawn)
    assert control.input_mean.tolist() == [2.0, 2.0, 2.0]
    assert control.input_scale.item() == 3.0


def test_statistics_equal_those_of_the_dense_codes() -> None:
    sae = build_autoencoder(AutoencoderConfig(n_latents=12, k=2), 3).requires_grad_(False)
    with torch.no_grad():
        sae.b_enc[5] = -1e6  # never fires
    x = np.random.default_rng(0).normal(size=(5000, 3)).astype(np.float32)
    got = latent_statistics(sae, SequenceSource(np.array_split(x, 4)))
    dense = sae.encode(torch.from_numpy(x)).dense(12).numpy()
    assert got.density[5] == got.mean[5] == got.p99[5] == got.maximum[5] == 0
    for j in range(12):
        values = dense[dense[:, j] > 0, j]
        assert got.density[j] == len(values) / 5000
        if len(values):
            np.testing.assert_allclose(got.mean[j], values.mean(dtype=np.float64), rtol=1e-6)
            assert got.maximum[j] == values.max()
            # The dense codes were computed in other blocks: equal but for rounding.
            np.testing.assert_allclose(
                got.p99[j], np.quantile(values, 0.99, method="inverted_cdf"), rtol=1e-6
            )
    assert got.density.dtype == np.float64
    assert {got.mean.dtype, got.p99.dtype, got.maximum.dtype} == {np.dtype(np.float32)}
