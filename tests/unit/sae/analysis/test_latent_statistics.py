from __future__ import annotations

import numpy as np
import torch

from reclens.sae import AutoencoderConfig, build_autoencoder, latent_statistics
from reclens.sae.activations.sources import SequenceSource


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
