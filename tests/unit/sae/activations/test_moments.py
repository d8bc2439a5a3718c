from __future__ import annotations

import numpy as np
import pytest

from reclens.sae.activations.moments import Moments


def test_blocks_merge_into_the_moments_of_the_whole() -> None:
    x = np.array([[1.0, 2.0], [3.0, 2.0], [5.0, 8.0]], np.float32)
    moments = Moments()
    for block in (x[:1], x[1:1], x[1:]):
        moments.update(block)
    # mean (3, 4); deviations 4+4 + 0+4 + 4+16 = 32
    assert moments.mean.tolist() == [3.0, 4.0]
    assert moments.deviation == pytest.approx(32)
    assert moments.variance == pytest.approx(32 / 3)


def test_a_large_offset_does_not_drown_the_variance() -> None:
    x = np.random.default_rng(0).normal(size=(10_000, 3)) + 1e4
    moments = Moments()
    for block in np.array_split(x, 7):
        moments.update(block)
    np.testing.assert_allclose(moments.mean, x.mean(0), rtol=1e-12)
    assert moments.variance == pytest.approx(x.var(0).sum(), rel=1e-9)


def test_no_rows_have_no_variance() -> None:
    assert np.isnan(Moments().variance)
