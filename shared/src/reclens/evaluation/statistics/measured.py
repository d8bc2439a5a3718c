"""What a measurement gives: a table to look into, and the figures in sum."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from reclens.evaluation.statistics.bootstrap import mean_interval


class Measured(NamedTuple):
    """One measurement."""

    table: pa.Table
    """Raw numbers; the layouts are in ``reclens.contracts.tables``."""
    metrics: dict[str, Any]
    """JSON types only; None for what could not be measured."""

    def beside(self, other: Measured) -> Measured:
        """Both in one: ``other`` has a row for each row of this, in order, and other columns."""
        table = self.table
        for name in other.table.column_names:
            table = table.append_column(name, other.table[name])
        return Measured(table, {**self.metrics, **other.metrics})


def number(value: float) -> float | None:
    """``value`` for JSON, which has no NaN."""
    return float(value) if math.isfinite(value) else None


def known_mean(values: np.ndarray) -> float | None:
    """Mean of [n] without NaN; None where nothing is left."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def interval_json(values: np.ndarray, *, seed: int) -> list[float | None]:
    """Mean, low and high of `mean_interval` for JSON; NaN values are left out."""
    return [number(value) for value in mean_interval(values, seed=seed)]
