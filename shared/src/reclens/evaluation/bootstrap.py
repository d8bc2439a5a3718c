"""Intervals of means by resampling."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

N_RESAMPLES = 2000
"""Resamples of an interval."""
_CHUNK = 1 << 22  # drawn indices in memory at once


class Interval(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    """Mean of the values; NaN without any."""
    low: float
    """2.5th percentile of the resampled means."""
    high: float
    """97.5th percentile."""


def mean_interval(values: np.ndarray, *, seed: int) -> Interval:
    """Mean of float [n] with its percentile bootstrap interval; NaN values are left out.

    Source: B. Efron, Bootstrap methods: another look at the jackknife, Ann. Statist. 7 (1979).
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return Interval(math.nan, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(known))
    means = np.concatenate(
        [
            known[rng.integers(len(known), size=(min(rows, N_RESAMPLES - start), len(known)))].mean(
                axis=1
            )
            for start in range(0, N_RESAMPLES, rows)
        ]
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(known.mean()), float(low), float(high))
