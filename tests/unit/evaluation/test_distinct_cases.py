"""The strongest cases of distinct items, worked out by hand, and items as popular as others."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from reclens.evaluation.similarity import distinct_cases
from reclens.evaluation.statistics import PopularityDeciles

#                 0  1  2  3   4  5
TOP = np.array([7, 7, 2, 5, -1, 3])
USERS = np.array(["a", "b", "a", "c", "d", "b"])
ACTIVATIONS = sparse.csc_matrix(
    # latent 0: cases 4 (no answer), 0, 1 (the same item), 2 (the same user), 3, 5; latent 1: silent
    np.array([[8.0, 0.0], [7.0, 0.0], [6.0, 0.0], [5.0, 0.0], [9.0, 0.0], [5.0, 0.0]])
)


def test_each_item_brings_its_strongest_case() -> None:
    found = distinct_cases(ACTIVATIONS, TOP, n=3)
    assert found.items.tolist() == [[7, 2, 5], [-1, -1, -1]]
    assert found.cases.tolist() == [[0, 2, 3], [-1, -1, -1]]
    assert found.values.tolist() == [[8.0, 6.0, 5.0], [0.0, 0.0, 0.0]]


def test_users_may_have_to_differ_too() -> None:
    found = distinct_cases(ACTIVATIONS, TOP, n=4, user=USERS)
    # Case 1 has the item of case 0, case 2 its user.
    assert found.items.tolist()[0] == [7, 5, 3, -1]
    assert found.cases.tolist()[0] == [0, 3, 5, -1]


def test_an_item_is_replaced_by_one_as_popular() -> None:
    # Items 0 to 99 are on top, item j met by j users; items 100 to 119 never are on top.
    deciles = PopularityDeciles(np.arange(100), np.array([*range(100), *[95] * 20]))
    assert deciles.of_item[:100].tolist() == [j // 10 for j in range(100)]
    rng = np.random.default_rng(0)
    given = np.array([5, 99, 42, 6])
    seen = set()
    for _ in range(300):
        drawn = deciles.draw(given, rng)
        assert (drawn // 10).tolist() == [0, 9, 4, 0]
        assert len(set(drawn.tolist())) == 4, "different items"
        seen.update(drawn.tolist())
    assert seen == {*range(10), *range(40, 50), *range(90, 100)}


def test_equally_popular_items_are_together() -> None:
    deciles = PopularityDeciles(np.array([0, 1, 2, 3, -1]), np.array([1, 1, 1, 50, 1]))
    assert len(set(deciles.of_item[[0, 1, 2]].tolist())) == 1
    assert deciles.of_item[3] != deciles.of_item[0]
    assert deciles.draw(np.array([3]), np.random.default_rng(0)).tolist() == [3]


def test_no_case_has_an_answer() -> None:
    top = np.full(6, -1)
    assert (distinct_cases(ACTIVATIONS, top, n=2).items == -1).all()
    assert PopularityDeciles(top, np.array([3, 5])).of_item.tolist() == [0, 0]


@pytest.mark.parametrize("n", [1, 2])
def test_no_more_than_asked_for(n: int) -> None:
    assert distinct_cases(ACTIVATIONS, TOP, n=n, user=USERS).items.shape == (2, n)
