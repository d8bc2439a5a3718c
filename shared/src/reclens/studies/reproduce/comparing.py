"""Differences between dictionaries with their intervals, so that no verdict rests on noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from reclens.evaluation.statistics import Interval, mean_interval, statistic_interval
from reclens.studies.reproduce.collecting import Dictionary

INTERPRETABLE = 0.8
"""Least P of an interpretable latent in the published protocol."""

RECONSTRUCTION = "reconstruction"

_SEED = 0
_RESAMPLES = 1000  # of statistics that are not means


def paired(
    one: Dictionary,
    other: Dictionary,
    measure: str,
    origin: str,
    *,
    variant: str = RECONSTRUCTION,
    other_variant: str = RECONSTRUCTION,
) -> Interval | None:
    """What ``one`` has of a measure of fidelity above ``other``, over users that both were
    measured on, user by user; None where there is no such user."""
    first = _by_user(one, measure, origin, variant)
    second = _by_user(other, measure, origin, other_variant)
    users = sorted(first.keys() & second.keys())
    if not users:
        return None
    return mean_interval(np.array([first[user] - second[user] for user in users]), seed=_SEED)


def _by_user(one: Dictionary, measure: str, origin: str, variant: str) -> dict[str, float]:
    table = one.fidelity_rows
    if table is None or measure not in table.column_names:
        return {}
    rows = zip(
        table["user_id"].to_pylist(),
        table["origin"].to_pylist(),
        table["variant"].to_pylist(),
        table[measure].to_pylist(),
        strict=True,
    )
    return {user: value for user, *key, value in rows if key == [origin, variant]}


def share_difference(one: Dictionary, other: Dictionary) -> Interval:
    """Share of latents that fire with P of at least `INTERPRETABLE`, less the other's."""
    return _difference(_interpretable_of_alive(one), _interpretable_of_alive(other), np.mean)


def auroc_difference(one: Dictionary, other: Dictionary) -> Interval:
    """Median AUROC of the judged labels, less the other's; NaN where either has none."""
    return _difference(_known(one, "auroc"), _known(other, "auroc"), np.median)


def interpretable(one: Dictionary) -> int:
    """Latents with P of at least `INTERPRETABLE`."""
    return int((_known(one, "paper_p") >= INTERPRETABLE).sum())


def interpretable_share(one: Dictionary) -> float | None:
    """Of the latents that fire; None where none does."""
    assert one.concepts is not None
    alive = one.concepts.metrics["alive"]
    return interpretable(one) / alive if alive else None


def _difference(
    first: np.ndarray, second: np.ndarray, statistic: Callable[[np.ndarray], np.floating]
) -> Interval:
    return statistic_interval(
        lambda a, b: float(statistic(a) - statistic(b)),
        first,
        second,
        seed=_SEED,
        resamples=_RESAMPLES,
    )


def _interpretable_of_alive(one: Dictionary) -> np.ndarray:
    assert one.concepts is not None
    count = interpretable(one)
    return np.arange(max(one.concepts.metrics["alive"], count)) < count


def _known(one: Dictionary, column: str) -> np.ndarray:
    labels: pa.Table | None = one.labels
    assert labels is not None
    return labels[column].drop_null().to_numpy()
