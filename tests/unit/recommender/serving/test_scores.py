"""The best items and places by exact scores, against a plain sort in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from reclens_recommender.serving import scores as module
from reclens_recommender.serving.scores import (
    SortedCandidates,
    SortedScores,
    UnsortedScores,
)

Array = npt.NDArray[np.int64]


def sorted_candidates(scores: npt.NDArray[np.float32], excluded: Array) -> list[int]:
    left_out = set(excluded.tolist())
    candidates = [item for item in range(len(scores)) if item not in left_out]
    return sorted(candidates, key=lambda item: (-scores[item], item))


def unsorted(scores: torch.Tensor, excluded: Array) -> UnsortedScores:
    return UnsortedScores(scores, excluded)


def in_order(scores: torch.Tensor, excluded: Array) -> SortedCandidates:
    return SortedScores(scores).without(excluded)


@pytest.fixture(params=[unsorted, in_order])
def candidates(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("n_items", [1, 7, 130, 1003])
@pytest.mark.parametrize("levels", [1, 3, 40, 1_000_000])
def test_best_items_and_places_are_those_of_a_full_sort(
    n_items: int, levels: int, long: bool, candidates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if long:
        monkeypatch.setattr(module, "_LONG", 0)
    rng = np.random.default_rng(n_items + levels)
    # Few levels: most scores are equal, and order is by row.
    scores = rng.integers(0, levels, n_items).astype(np.float32) - np.float32(levels / 2)
    for n_excluded in (0, 1, 5, n_items):
        excluded = np.unique(rng.integers(0, n_items, n_excluded))
        scored = candidates(torch.from_numpy(scores), excluded)
        order = sorted_candidates(scores, excluded)
        for count in (1, 3, 10, n_items + 5):
            best = scored.best(count)
            assert best.items.tolist() == order[:count]
            assert best.scores.tolist() == scores[best.items].tolist()
        asked = rng.permutation(np.array(order, np.int64))[:20]
        places = [order.index(item) + 1 for item in asked.tolist()]
        assert scored.places(asked).tolist() == places


def test_all_items_excluded_leave_none(candidates: Any) -> None:
    scored = candidates(torch.ones(20), np.arange(20))
    assert len(scored.best(10)) == 0
    assert scored.places(np.zeros(0, np.int64)).tolist() == []


def test_excluding_changes_no_scores_that_are_kept() -> None:
    given = torch.arange(20.0)
    kept = SortedScores(given)
    assert kept.without(np.arange(10, 20)).best(1).items.tolist() == [9]
    assert UnsortedScores(given, np.arange(10, 20)).best(1).items.tolist() == [9]
    assert kept.without(np.zeros(0, np.int64)).best(1).items.tolist() == [19]
    assert given.tolist() == list(range(20))


def test_large_catalogues_are_put_in_order_too() -> None:
    # More rows than 16 bits can name.
    scores = torch.arange(40_000.0)
    scored = SortedScores(scores).without(np.array([39_999]))
    assert scored.best(2).items.tolist() == [39_998, 39_997]
    assert scored.places(np.array([0, 39_000])).tolist() == [39_999, 999]
    assert SortedScores(scores).nbytes == 40_000 * (4 + 4 + 4)
