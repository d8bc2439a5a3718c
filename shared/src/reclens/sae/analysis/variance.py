"""Who holds the variance of activations, and whose of it is explained.

The fraction of variance unexplained is one number over all dimensions and rows. Where one dimension
is loud, or a few rows are huge, it is theirs, and says little of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

LISTED = 10
"""Dimensions that are listed at most."""
_NEGLIGIBLE = 1e-12
"""A dimension with less than this share of the mean variance is rounding, not variance."""


@dataclass(frozen=True)
class VarianceReport:
    """Variance by dimension and by row, on the activations that the report is on."""

    constant_dimensions: int
    """Dimensions that do not vary; they are in none of the other figures."""
    dimension_fvu_median: float
    """Median over dimensions of the fraction of a dimension's variance that is unexplained."""
    dimension_fvu_p90: float
    """90th percentile of it."""
    loudest: list[dict[str, float]]
    """The ten dimensions with most variance: ``dimension``, ``share`` of all variance, ``fvu``."""
    worst: list[dict[str, float]]
    """The ten dimensions that are explained least, likewise."""
    top_dimensions_share: float
    """Share of the variance in the loudest hundredth of all dimensions, at least one."""
    top_rows_share: float
    """Share of the squared deviation in the largest hundredth of all rows, at least one."""
    largest_row_share: float
    """Share of the largest row alone."""


@dataclass
class VarianceSums:
    """Sums over blocks of rows, about a centre near the mean, in double precision."""

    centre: np.ndarray
    """[d_model]."""
    count: int = 0
    total: np.ndarray = field(default_factory=lambda: np.zeros(0))
    squares: np.ndarray = field(default_factory=lambda: np.zeros(0))
    errors: np.ndarray = field(default_factory=lambda: np.zeros(0))
    rows: list[np.ndarray] = field(default_factory=list[np.ndarray])

    def update(self, x: np.ndarray, x_hat: np.ndarray) -> None:
        """Take in a block of rows and their reconstructions, [rows, d_model]."""
        centred = x.astype(np.float64) - self.centre
        squares = np.square(centred)
        self.total = self.total + centred.sum(0) if self.count else centred.sum(0)
        self.squares = self.squares + squares.sum(0) if self.count else squares.sum(0)
        errors = np.square(x.astype(np.float64) - x_hat).sum(0)
        self.errors = self.errors + errors if self.count else errors
        self.rows.append(squares.sum(1).astype(np.float32))
        self.count += len(x)

    def report(self) -> VarianceReport:
        """The figures. There must be rows that vary."""
        deviation = np.maximum(self.squares - np.square(self.total) / self.count, 0)
        varies = np.flatnonzero(deviation > _NEGLIGIBLE * deviation.mean())
        share, fvu = deviation / deviation.sum(), np.zeros(len(deviation))
        fvu[varies] = self.errors[varies] / deviation[varies]
        loudest = varies[np.argsort(-share[varies], kind="stable")]
        worst = varies[np.argsort(-fvu[varies], kind="stable")]
        rows = np.sort(np.concatenate(self.rows).astype(np.float64))[::-1]

        def listed(dimensions: np.ndarray) -> list[dict[str, float]]:
            return [
                {"dimension": int(one), "share": float(share[one]), "fvu": float(fvu[one])}
                for one in dimensions[:LISTED]
            ]

        return VarianceReport(
            constant_dimensions=len(deviation) - len(varies),
            dimension_fvu_median=float(np.median(fvu[varies])),
            dimension_fvu_p90=float(np.quantile(fvu[varies], 0.9)),
            loudest=listed(loudest),
            worst=listed(worst),
            top_dimensions_share=float(share[loudest[: _hundredth(len(deviation))]].sum()),
            top_rows_share=float(rows[: _hundredth(len(rows))].sum() / rows.sum()),
            largest_row_share=float(rows[0] / rows.sum()),
        )


def _hundredth(n: int) -> int:
    return -(-n // 100)
