"""Mean, variance and covariance of activations that do not fit into memory together."""

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
