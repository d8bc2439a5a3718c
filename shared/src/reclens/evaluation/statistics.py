"""Statistics that every evaluation uses: agreement of rankings, intervals, controls, JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.stats import kendalltau, rankdata


def overlap(first: np.ndarray, second: np.ndarray, k: int) -> float:
    """Share of the best ``k`` by one score that are among the best ``k`` by the other.

    Args:
        first: float [n_items]; of equal scores the lower index is better.
        second: float [n_items].
        k: length of the lists; with fewer items, all of them.
    """
    k = min(k, len(first))
    if k == 0:
        return math.nan
    return len(np.intersect1d(best(first, k), best(second, k))) / k


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the ``k`` highest scores, best first; of equal ones the lower index first."""
    return np.argsort(-scores, kind="stable")[:k]


def kendall(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b of float [n_items] each; NaN where one is constant.

    Source: M. G. Kendall, The treatment of ties in ranking problems, Biometrika 33 (1945).
    """
    return float(np.asarray(kendalltau(first, second))[0])


def krippendorff_alpha(values: np.ndarray) -> float:
    """Krippendorff's alpha of nominal values, float [n_raters, n_units] with NaN for no answer.

    1 is perfect agreement, 0 what chance would give. A unit that fewer than two raters answered
    says nothing; NaN where all answers are the same.

    Source: K. Krippendorff, Content Analysis, 4th ed. (2018), section 12.3.
    """
    said = np.unique(values[np.isfinite(values)])
    counts = (values[:, :, None] == said).sum(axis=0).astype(np.float64)
    counts = counts[counts.sum(axis=1) >= 2]
    weighted = counts / (counts.sum(axis=1, keepdims=True) - 1)
    coincidences = counts.T @ weighted - np.diag(weighted.sum(axis=0))
    totals = coincidences.sum(axis=0)
    n = totals.sum()
    expected = (n * n - totals @ totals) / (n - 1) if n > 1 else 0.0
    return float(1 - (n - np.trace(coincidences)) / expected) if expected > 0 else math.nan


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rho of float [n_items] each; NaN where one is constant.

    Source: C. Spearman, Am. J. Psychol. 15 (1904): the correlation of average ranks.
    """
    a, b = rankdata(first), rankdata(second)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 else math.nan


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
    """97.5th percentile over resamples."""

    def as_json(self) -> list[float | None]:
        """All three; None for what is NaN."""
        return [json_number(value) for value in self]


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


def alike_directions(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many random directions with the mean and covariance of these, float64 [n, d_model].

    Args:
        rows: float [n, d_model], one direction a row; their length does not matter.
        rng: of the draws from the normal distribution.
    """
    wide = rows.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    unit = wide / np.where(length > 0, length, 1.0)
    mean = unit.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(unit, rowvar=False, bias=True).reshape(2 * [len(mean)]))
    # Rounding makes the variance of an axis that is not used negative.
    spread = axes * np.sqrt(np.maximum(values, 0.0))
    return mean + rng.normal(size=unit.shape) @ spread.T


N_DECILES = 10


class PopularityDeciles:
    """Items that are on top of any answer, in deciles by their popularity.

    Args:
        top: int [n_cases], the item on top of each answer, -1 for none.
        popularity: int [n_items], train interactions of each item.
    """

    def __init__(self, top: np.ndarray, popularity: np.ndarray) -> None:
        answered = np.unique(top[top >= 0])
        shares = np.arange(1, N_DECILES) / N_DECILES
        edges = np.quantile(popularity[answered], shares) if len(answered) else np.empty(0)
        self.of_item = np.searchsorted(edges, popularity, side="right")
        """int64 [n_items]: decile of each item, 0 the least popular; equals are together."""
        self._pools = [answered[self.of_item[answered] == decile] for decile in range(N_DECILES)]

    def draw(self, items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As many different items, each of the decile of the one that it stands for, int64 [n].

        Args:
            items: int [n], different ones, each on top of some answer.
            rng: of the draws.
        """
        drawn = np.empty(len(items), np.int64)
        deciles = self.of_item[items]
        for decile in np.unique(deciles):
            places = np.nonzero(deciles == decile)[0]
            drawn[places] = rng.choice(self._pools[decile], size=len(places), replace=False)
        return drawn


class Measurement(NamedTuple):
    """What a measurement gives: a table to look into, and the figures in sum."""

    table: pa.Table
    """Raw numbers; the layouts are in ``reclens.contracts.tables``."""
    metrics: dict[str, Any]
    """JSON types only; None for what could not be measured."""

    def beside(self, other: Measurement) -> Measurement:
        """Both in one: ``other`` has a row for each row of this, in order, and other columns."""
        table = self.table
        for name in other.table.column_names:
            table = table.append_column(name, other.table[name])
        return Measurement(table, {**self.metrics, **other.metrics})


def json_number(value: float) -> float | None:
    """``value`` for JSON, which has no NaN."""
    return float(value) if math.isfinite(value) else None


def mean_or_none(values: np.ndarray) -> float | None:
    """Mean of [n] without NaN; None where nothing is left."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def row_means(values: np.ndarray) -> np.ndarray:
    """Mean of each row of float [n, m] without NaN, float64 [n]; NaN where nothing is left."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def interval_json(values: np.ndarray, *, seed: int) -> list[float | None]:
    """Mean, low and high of `mean_interval` for JSON; NaN values are left out."""
    return mean_interval(values, seed=seed).as_json()
