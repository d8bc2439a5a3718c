"""The best items and places by exact scores, against a plain sort in Python."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from reclens_recommender.serving import standings
from reclens_recommender.serving.standings import Standings

Array = npt.NDArray[np.int64]


def sorted_candidates(scores: npt.NDArray[np.float32], excluded: Array) -> list[int]:
    left_out = set(excluded.tolist())
    candidates = [item for item in range(len(scores)) if item not in left_out]
    return sorted(candidates, key=lambda item: (-scores[item], item))


@pytest.fixture(params=[False, True], ids=["asked-once", "in-order"])
def in_order(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("n_items", [1, 7, 130, 1003])
@pytest.mark.parametrize("levels", [1, 3, 40, 1_000_000])
def test_best_items_and_places_are_those_of_a_full_sort(
    n_items: int, levels: int, long: bool, in_order: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if long:
        monkeypatch.setattr(standings, "_LONG", 0)
    rng = np.random.default_rng(n_items + levels)
    # Few levels: most scores are equal, and order is by row.
    scores = rng.integers(0, levels, n_items).astype(np.float32) - np.float32(levels / 2)
    stand = Standings(torch.from_numpy(scores), in_order=in_order)
    for n_excluded in (0, 1, 5, n_items):
        excluded = np.unique(rng.integers(0, n_items, n_excluded))
        order = sorted_candidates(scores, excluded)
        for count in (1, 3, 10, n_items + 5):
            best = stand.best(count, excluded)
            assert best.items.tolist() == order[:count]
            assert best.scores.tolist() == scores[best.items].tolist()
        asked = rng.permutation(np.array(order, np.int64))[:20]
        places = [order.index(item) + 1 for item in asked.tolist()]
        assert stand.places(asked, excluded).tolist() == places


def test_all_items_excluded_leave_none(in_order: bool) -> None:
    stand = Standings(torch.ones(20), in_order=in_order)
    assert len(stand.best(10, np.arange(20))) == 0
    assert stand.places(np.zeros(0, np.int64), np.arange(20)).tolist() == []


def test_large_catalogues_are_put_in_order_too() -> None:
    # More rows than 16 bits can name.
    scores = torch.arange(40_000.0)
    stand = Standings(scores, in_order=True)
    assert stand.best(2, np.array([39_999])).items.tolist() == [39_998, 39_997]
    assert stand.places(np.array([0, 39_000]), np.array([39_999])).tolist() == [39_999, 999]
    assert stand.nbytes == 40_000 * (4 + 4 + 4)
