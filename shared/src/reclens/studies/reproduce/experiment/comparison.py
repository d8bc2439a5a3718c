"""Differences between dictionaries with their intervals, so that no verdict rests on noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np
import pyarrow.compute as pc

from reclens.evaluation.statistics import Interval, mean_interval, statistic_interval
from reclens.studies.reproduce.experiment.results import Dictionary

INTERPRETABLE = 0.8
"""Least P of an interpretable latent in the published protocol."""

RECONSTRUCTION = "reconstruction"

Bounds = Sequence[float | None]
"""Mean, low and high of a 95 % interval."""

_SEED = 0
_RESAMPLES = 1000  # of statistics that are not means


class Verdict(StrEnum):
    """What our run says of a claim or a comparison."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    """The 95 % interval reaches over the threshold."""
    NOT_COMPARABLE = "not comparable"
    """The published figure is of other data."""


def above(interval: Bounds | None, threshold: float = 0.0) -> Verdict:
    """Whether a value is above a threshold, by the 95 % interval of the value."""
    if interval is None:
        return Verdict.UNDECIDED
    _, low, high = interval
    # None and NaN: not measured.
    if low is None or high is None or not low <= high:
        return Verdict.UNDECIDED
    if low > threshold:
        return Verdict.HOLDS
    return Verdict.FAILS if high < threshold else Verdict.UNDECIDED


def below(interval: Bounds | None, threshold: float) -> Verdict:
    """Whether a value is below a threshold."""
    if interval is None or None in interval:
        return Verdict.UNDECIDED
    mean, low, high = (-float(one) for one in interval if one is not None)
    return above((mean, high, low), -threshold)


def plain(holds: bool) -> Verdict:
    """A comparison of figures that have no sampling error of their own."""
    return Verdict.HOLDS if holds else Verdict.FAILS


def all_of(*verdicts: Verdict) -> Verdict:
    """All must hold: what fails, fails the whole; else what is undecided leaves it undecided."""
    for found in (Verdict.FAILS, Verdict.UNDECIDED):
        if found in verdicts:
            return found
    return Verdict.HOLDS


def apart(first: Bounds, second: Bounds) -> Verdict:
    """Whether ``second`` is above ``first``, of different latents: intervals that do not meet
    differ for sure."""
    _, low, high = (float(one or 0) for one in first)
    _, other_low, other_high = (float(one or 0) for one in second)
    if other_low > high:
        return Verdict.HOLDS
    return Verdict.FAILS if other_high < low else Verdict.UNDECIDED


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
    wanted = table.filter((pc.field("origin") == origin) & (pc.field("variant") == variant))
    return dict(zip(wanted["user_id"].to_pylist(), wanted[measure].to_pylist(), strict=True))


def share_difference(one: Dictionary, other: Dictionary) -> Interval:
    """Share of latents that fire with P of at least `INTERPRETABLE`, less the other's."""
    return _difference(_interpretable_of_alive(one), _interpretable_of_alive(other), np.mean)


def auroc_difference(one: Dictionary, other: Dictionary) -> Interval:
    """Median AUROC of the judged labels, less the other's; NaN where either has none."""
    return _difference(one.judged("auroc"), other.judged("auroc"), np.median)


def interpretable(one: Dictionary) -> int:
    """Latents with P of at least `INTERPRETABLE`."""
    return int((one.judged("paper_p") >= INTERPRETABLE).sum())


def interpretable_share(one: Dictionary) -> float | None:
    """Of the latents that fire; None where none does."""
    alive = one.labelling["alive"]
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
    count = interpretable(one)
    return np.arange(max(one.labelling["alive"], count)) < count
