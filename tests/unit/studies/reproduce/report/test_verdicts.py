"""Rules at both sides of a threshold, and on it."""

from __future__ import annotations

import math

import pytest

from reclens.studies.reproduce.report.verdicts import Verdict, above, all_of, below, shown

HOLDS, FAILS, UNDECIDED = Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.3, 0.21, 0.4), HOLDS),
        ((0.3, 0.19, 0.4), UNDECIDED),
        ((0.1, 0.05, 0.21), UNDECIDED),
        ((0.1, 0.05, 0.19), FAILS),
        # Exactly the threshold in every resample: neither above nor below.
        ((0.2, 0.2, 0.2), UNDECIDED),
        ((0.3, None, None), UNDECIDED),
        ((math.nan, math.nan, math.nan), UNDECIDED),
        (None, UNDECIDED),
    ],
)
def test_above(interval, expected: Verdict) -> None:
    assert above(interval, 0.2) is expected


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((-0.3, -0.4, -0.21), HOLDS),
        ((-0.3, -0.4, -0.19), UNDECIDED),
        ((-0.1, -0.15, -0.05), FAILS),
        ((None, None, None), UNDECIDED),
    ],
)
def test_below(interval, expected: Verdict) -> None:
    assert below(interval, -0.2) is expected


def test_the_worst_part_decides() -> None:
    assert all_of(HOLDS, HOLDS) is HOLDS
    assert all_of(HOLDS, UNDECIDED) is UNDECIDED
    assert all_of(UNDECIDED, FAILS, HOLDS) is FAILS


def test_intervals_in_words() -> None:
    assert shown((0.1, -0.05, 0.25)) == "+0.100 [-0.050 to +0.250]"
    assert shown((None, None, None)) == "not measured"
    assert shown(None) == "not measured"
