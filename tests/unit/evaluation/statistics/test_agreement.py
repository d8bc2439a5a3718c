"""Rank agreement against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reclens.evaluation.statistics.agreement import best, kendall, overlap, spearman

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
