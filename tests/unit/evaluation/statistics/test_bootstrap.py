"""Intervals against the normal theory that they must approach."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reclens.evaluation.statistics.bootstrap import mean_interval, statistic_interval


def test_many_values_give_the_normal_interval() -> None:
    values = np.random.default_rng(3).exponential(size=400)
    half = 1.96 * values.std() / math.sqrt(len(values))
    found = mean_interval(values, seed=0)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(10.0)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_unknown_values_are_left_out() -> None:
    assert mean_interval(np.array([2.0, math.nan, 2.0]), seed=0) == (2.0, 2.0, 2.0)
    assert all(math.isnan(value) for value in mean_interval(np.array([math.nan]), seed=0))


def test_a_difference_of_medians_has_the_interval_of_both_samples() -> None:
    rng = np.random.default_rng(0)
    # The median of n normal values has the deviation sqrt(pi / 2 / n).
    first, second = rng.normal(1, 1, 400), rng.normal(0, 1, 900)
    found = statistic_interval(
        lambda a, b: float(np.median(a) - np.median(b)), first, second, seed=1
    )
    half = 1.96 * np.sqrt(np.pi / 2 * (1 / 400 + 1 / 900))
    assert found.mean == pytest.approx(np.median(first) - np.median(second))
    assert found.high - found.low == pytest.approx(2 * half, rel=0.2)


def test_a_statistic_of_nothing_is_not_known() -> None:
    assert np.isnan(statistic_interval(np.mean, np.empty(0), seed=0)).all()
    assert np.isnan(statistic_interval(lambda _: np.nan, np.ones(3), seed=0)).all()
