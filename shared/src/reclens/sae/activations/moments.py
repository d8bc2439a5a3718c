"""Moments and quantiles of activations that do not fit into memory together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Moments:
    """Count, mean and total squared deviation, merged block by block in double precision.

    Source: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing
    sample variances".
    """

    count: int = 0
    """Rows seen."""
    mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Mean row, float64 [d_model]."""
    deviation: float = 0.0
    """``Σ‖x - mean‖²`` over all rows."""
    with_covariance: bool = False
    """Whether ``scatter`` is wanted."""
    scatter: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    """``Σ (x - mean)ᵀ (x - mean)`` [d_model, d_model], where wanted."""

    def update(self, x: np.ndarray) -> None:
        """Take in a block of rows [rows, d_model]."""
        if not len(x):
            return
        block_mean = x.mean(0, dtype=np.float64)
        centred = x - block_mean
        block_deviation = float(np.einsum("rd,rd->", centred, centred))
        if not self.count:
            self.mean = np.zeros_like(block_mean)
            self.scatter = (
                np.zeros((len(block_mean),) * 2) if self.with_covariance else self.scatter
            )
        count = self.count + len(x)
        shift = block_mean - self.mean
        self.deviation += block_deviation + float(shift @ shift) * self.count * len(x) / count
        if self.with_covariance:
            self.scatter += centred.T @ centred
            self.scatter += np.outer(shift, shift) * (self.count * len(x) / count)
        self.mean = self.mean + shift * (len(x) / count)
        self.count = count

    @property
    def variance(self) -> float:
        """Mean of ``‖x - mean‖²``; NaN before the first row."""
        return self.deviation / self.count if self.count else float("nan")


QUANTILE_ROWS = 65_536
"""Rows that quantiles are taken from, at most."""
# Of a normal distribution, the interquartile range is so many standard deviations.
_IQR_OF_NORMAL = 1.349
# A dimension is made louder by this much at most: what varies less is noise.
_LOUDEST = 1e3


class RowSample:
    """Rows at even distances, from each of so many shards alike."""

    def __init__(self, n_shards: int) -> None:
        self._per_shard = -(-QUANTILE_ROWS // max(1, n_shards))
        self._rows: list[np.ndarray] = []

    def update(self, x: np.ndarray) -> None:
        """Take in a shard [rows, d_model]."""
        self._rows.append(x[:: -(-len(x) // self._per_shard) or 1].copy())

    def robust_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Median and scale of each dimension, float64 [d_model].

        The scale is the interquartile range in standard deviations of a normal distribution; the
        standard deviation where more than half of the values are the same; and at least a
        thousandth of the median scale, so that a dimension that hardly varies is not all noise.
        """
        rows = np.concatenate(self._rows).astype(np.float64)
        low, median, high = np.quantile(rows, [0.25, 0.5, 0.75], axis=0)
        scale = np.where(high > low, (high - low) / _IQR_OF_NORMAL, rows.std(0))
        usual = float(np.median(scale[scale > 0])) if (scale > 0).any() else 1.0
        return median, np.where(scale > 0, np.maximum(scale, usual / _LOUDEST), usual)
