"""Statistics of evaluations: agreement, intervals and directions by chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reclens.evaluation.statistics import (
    alike_directions,
    best,
    kendall,
    krippendorff_alpha,
    mean_interval,
    overlap,
    spearman,
    statistic_interval,
)
from reclens.sae.analysis.stability import decoder_stability

SCORES = np.array([4.0, 3.0, 2.0, 1.0])


def test_best_takes_the_lower_index_of_equals() -> None:
    assert best(np.array([1.0, 2.0, 2.0, 0.0, 2.0]), 3).tolist() == [1, 2, 4]


def test_overlap_counts_common_items_whatever_their_order() -> None:
    # Best three: {0, 1, 2} and {3, 0, 1}.
    assert overlap(SCORES, np.array([3.0, 2.0, 1.0, 4.0]), 3) == pytest.approx(2 / 3)
    assert overlap(SCORES, SCORES[::-1], 2) == 0
    assert overlap(SCORES, SCORES[::-1], 10) == 1, "with four items the lists are the same"
    assert math.isnan(overlap(np.array([]), np.array([]), 10))


def test_kendall_counts_discordant_pairs() -> None:
    # One of six pairs is turned round: (5 - 1) / 6.
    assert kendall(SCORES, np.array([4.0, 3.0, 1.0, 2.0])) == pytest.approx(4 / 6)
    assert kendall(SCORES, -SCORES) == pytest.approx(-1)


def test_spearman_by_squared_rank_differences() -> None:
    # 1 - 6 Σd² / (n (n² - 1)) with d = (0, 0, 1, -1).
    assert spearman(SCORES, np.array([9.0, 7.0, 1.0, 2.0])) == pytest.approx(1 - 6 * 2 / (4 * 15))
    # Ties share their average rank: ranks 1.5, 1.5, 3 against 1, 2, 3.
    assert spearman(np.array([1.0, 1.0, 5.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(
        math.sqrt(3) / 2
    )


@pytest.mark.parametrize("correlation", [kendall, spearman])
def test_a_constant_agrees_with_nothing(correlation) -> None:
    assert math.isnan(correlation(SCORES, np.ones(4)))


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


def test_mean_and_covariance_are_those_of_the_directions() -> None:
    # Unit vectors (±.6, .8, 0), each as often: mean (0, .8, 0), all variance on the first axis.
    rows = 5.0 * np.tile([[0.6, 0.8, 0.0], [-0.6, 0.8, 0.0]], (20_000, 1))
    drawn = alike_directions(rows, np.random.default_rng(0))
    assert drawn.shape == rows.shape
    assert drawn.mean(axis=0) == pytest.approx([0.0, 0.8, 0.0], abs=0.01)
    assert np.cov(drawn, rowvar=False) == pytest.approx(np.diag([0.36, 0.0, 0.0]), abs=0.01)


def test_crowded_directions_are_closer_by_chance_than_even_ones() -> None:
    rng = np.random.default_rng(1)
    crowded = rng.normal(size=(300, 32)) * np.linspace(1, 0.05, 32)
    alike = decoder_stability(crowded, alike_directions(crowded, rng))
    even = decoder_stability(crowded, rng.normal(size=crowded.shape))
    # Another draw of the same kind says how close such directions are without any relation.
    related = rng.normal(size=crowded.shape) * np.linspace(1, 0.05, 32)
    chance = decoder_stability(crowded, related)
    assert even.mean_max_cosine < alike.mean_max_cosine - 0.1
    assert alike.mean_max_cosine == pytest.approx(chance.mean_max_cosine, abs=0.03)


def test_a_direction_without_length_is_taken_as_it_is() -> None:
    assert np.isfinite(alike_directions(np.zeros((4, 3)), np.random.default_rng(0))).all()


N = np.nan
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
)
"""Four observers, twelve units, five values, some missing (K. Krippendorff, Computing
Krippendorff's Alpha-Reliability, 2011, section C)."""


def test_alpha_is_that_of_the_published_example_with_missing_values():
    assert krippendorff_alpha(OBSERVERS) == pytest.approx(0.743, abs=5e-4)


def test_alpha_of_two_observers_worked_out_by_hand():
    """Ten units, of which six are alike: 14 zeros and 6 ones give 1 - 8 * 19 / (2 * 14 * 6)."""
    first = np.array([0, 1, 0, 0, 0, 0, 0, 0, 1, 0.0])
    second = np.array([1, 1, 1, 0, 0, 1, 0, 0, 0, 0.0])
    assert krippendorff_alpha(np.array([first, second])) == pytest.approx(1 - 8 * 19 / (2 * 14 * 6))


def test_alpha_is_one_for_agreement_and_unknown_where_all_say_the_same():
    both = np.array([[0, 1, 0, 1.0], [0, 1, 0, 1.0]])
    assert krippendorff_alpha(both) == 1
    assert np.isnan(krippendorff_alpha(np.ones((2, 3))))
    assert np.isnan(krippendorff_alpha(np.full((2, 3), np.nan)))
