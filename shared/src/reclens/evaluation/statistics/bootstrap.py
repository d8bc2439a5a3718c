"""Intervals of means and other statistics by resampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

N_RESAMPLES = 2000
"""Resamples of an interval."""
_CHUNK = 1 << 22  # drawn indices in memory at once


class Interval(NamedTuple):
    """A mean, or another statistic, with its 95 % interval."""

    mean: float
    """Of the values themselves; NaN without any."""
    low: float
    """2.5th percentile over resamples."""
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


def statistic_interval(
    statistic: Callable[..., float], *samples: np.ndarray, seed: int, resamples: int = N_RESAMPLES
) -> Interval:
    """A statistic of independent samples with its percentile bootstrap interval.

    Args:
        statistic: of as many arrays as there are samples.
        *samples: [n_i, ...], each resampled by its own rows.
        seed: of the draws.
        resamples: how often to draw.

    Returns:
        NaN three times where a sample is empty; resamples whose statistic is NaN are left out.
    """
    if not all(len(one) for one in samples):
        return Interval(math.nan, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [
            statistic(*(one[rng.integers(len(one), size=len(one))] for one in samples))
            for _ in range(resamples)
        ]
    )
    known = drawn[np.isfinite(drawn)]
    value = float(statistic(*samples))
    if not len(known) or not math.isfinite(value):
        return Interval(math.nan, math.nan, math.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(value, float(low), float(high))
