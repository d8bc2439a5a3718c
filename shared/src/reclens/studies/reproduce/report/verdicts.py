"""Claims and the rules that judge them. A verdict that rests on noise is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

PAPER = "arXiv 2411.06112"
CODE = "public code of arXiv 2411.06112"

Bounds = Sequence[float | None]
"""Mean, low and high of a 95 % interval."""


class Verdict(StrEnum):
    """What our run says."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    """The 95 % interval reaches over the threshold."""
    NOT_COMPARABLE = "not comparable"
    """The published figure is of other data."""


@dataclass(frozen=True)
class Claim:
    """One claim and what became of it."""

    claim: str
    """What is claimed, with the rule by which it is judged."""
    source: str
    """Where."""
    measured: str
    """Our figures."""
    control: str
    """The same figures of the controls."""
    verdict: Verdict
    """Whether it holds in this run."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


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


def shown(interval: Bounds | None, fmt: str = "+.3f") -> str:
    """A figure with its 95 % interval in brackets."""
    if interval is None:
        return "not measured"
    mean, low, high = (math.nan if one is None else one for one in interval)
    if math.isnan(mean):
        return "not measured"
    return f"{mean:{fmt}} [{low:{fmt}} to {high:{fmt}}]"


def number(value: float | None, fmt: str = ".3f") -> str:
    """A figure in words."""
    return "n/a" if value is None else format(value, fmt)


def change(after: float, before: float) -> str:
    """A relative change in words."""
    return f"{after / before - 1:+.1%}" if before else "base is 0"
