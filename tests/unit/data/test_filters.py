"""k-core on tables small enough to work by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reclens.data.filters import k_core


def _core(pairs: list[tuple[int, int]], k: int) -> list[tuple[int, int]]:
    users = np.array([u for u, _ in pairs], dtype=np.int32)
    items = np.array([i for _, i in pairs], dtype=np.int32)
    kept = k_core(users, items, k)
    return [pair for pair, keep in zip(pairs, kept, strict=True) if keep]


def test_one_core_keeps_everything():
    assert _core([(0, 0), (1, 5)], 1) == [(0, 0), (1, 5)]


def test_removal_goes_on_until_nothing_falls_below():
    # Item 3 has one interaction; without it user 2 has one; without that item 2 has one; then
    # user 1 still has items 0 and 1. The square of users 0, 1 and items 0, 1 remains.
    square = [(0, 0), (0, 1), (1, 0), (1, 1)]
    tail = [(1, 2), (2, 2), (2, 3)]
    assert _core(square + tail, 2) == square


def test_a_repeated_interaction_counts_each_time():
    assert _core([(0, 0), (0, 0), (1, 1)], 2) == [(0, 0), (0, 0)]


def test_nothing_may_remain():
    assert _core([(0, 0), (1, 1)], 2) == []


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40), st.integers(2, 4))
def test_core_is_the_largest_part_in_which_all_have_k(pairs: list[tuple[int, int]], k: int):
    # Reference: remove one offending row at a time; the core does not depend on the order.
    rest = list(pairs)
    while True:
        users, items = [u for u, _ in rest], [i for _, i in rest]
        bad = [p for p in rest if users.count(p[0]) < k or items.count(p[1]) < k]
        if not bad:
            break
        rest.remove(bad[0])
    assert sorted(_core(pairs, k)) == sorted(rest)
