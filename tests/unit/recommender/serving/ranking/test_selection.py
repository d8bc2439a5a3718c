"""The best items and places, against a plain sort of all scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch

from reclens_recommender.serving.ranking import catalogue, selection
from reclens_recommender.serving.ranking.catalogue import GROUP, Catalogue, Search
from reclens_recommender.serving.ranking.selection import Selection
from reclens_recommender.serving.scores import ScoredItems

Array = npt.NDArray[np.int64]


class RoughCatalogue(Catalogue):
    """Exact scores that are shown with an error of up to the margin, as bad as it may be."""

    def __init__(self, exact: npt.NDArray[np.float32], margin: float, seed: int) -> None:
        super().__init__(torch.zeros(exact.shape[1], 1), torch.zeros(exact.shape[1]))
        self.rows = torch.zeros(len(exact), 1).unbind()
        self._margin = margin
        rng = np.random.default_rng(seed)
        self._exact = exact
        self._shown = (exact + margin * rng.choice([-0.99, 0.99], exact.shape)).astype(np.float32)

    def margins(self, x: torch.Tensor) -> npt.NDArray[np.float64]:
        return np.full(len(x), self._margin)

    def visit(self, x: torch.Tensor, search: Search) -> None:
        size = catalogue._CHUNK_ITEMS
        # In no order, as threads may come.
        for start in reversed(range(0, self.n_items, size)):
            search(start, torch.from_numpy(self._shown[:, start : start + size].copy()))

    def exact(
        self, x: Sequence[torch.Tensor], rows: Array, groups: Array
    ) -> npt.NDArray[np.float32]:
        padding = -self.n_items % GROUP
        padded = np.pad(self._exact, ((0, 0), (0, padding)), constant_values=-np.inf)
        return padded.reshape(len(x), -1, GROUP)[rows, groups]


def sorted_candidates(scores: npt.NDArray[np.float32], excluded: Array) -> list[int]:
    left_out = set(excluded.tolist())
    candidates = [item for item in range(len(scores)) if item not in left_out]
    return sorted(candidates, key=lambda item: (-scores[item], item))


@pytest.fixture(params=["one-chunk", "many-chunks", "long-blocks"])
def layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "one-chunk":
        monkeypatch.setattr(catalogue, "_CHUNK_ITEMS", 8 * GROUP * 2)
    if request.param == "long-blocks":
        monkeypatch.setattr(selection, "_LONG_BLOCKS", 0)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("n_items", [1, 7, 16, 100, 1003])
@pytest.mark.parametrize("margin", [0.0, 0.4])
@pytest.mark.parametrize("levels", [3, 40, 1_000_000])
def test_best_items_and_places_are_those_of_a_full_sort(
    n_items: int, margin: float, levels: int
) -> None:
    rng = np.random.default_rng(n_items + levels)
    # Few levels: most scores are equal, and order is by row.
    exact = rng.integers(0, levels, (5, n_items)).astype(np.float32) * np.float32(20 / levels)
    excluded = [np.unique(rng.integers(0, n_items, size)) for size in (0, 1, 5, n_items, 3)]
    orders = [sorted_candidates(exact[row], excluded[row]) for row in range(5)]
    targets = [
        np.array(rng.permutation(order)[:8], dtype=np.int64)  # any candidates, in any order
        for order in orders
    ]
    scores = RoughCatalogue(exact, margin, seed=1)
    found = Selection(
        scores,
        scores.rows,
        excluded,
        [ScoredItems(items, exact[row][items]) for row, items in enumerate(targets)],
    )
    for counts in ([10, 1, 3, 10, 500], [1000] * 5):
        for row, best in enumerate(found.best(counts)):
            assert best.items.tolist() == orders[row][: counts[row]]
            assert best.scores.tolist() == exact[row][best.items].tolist()
    for row in range(5):
        assert found.best([4], [row])[0].items.tolist() == orders[row][:4]
        places = [orders[row].index(item) + 1 for item in targets[row].tolist()]
        assert found.places(row).tolist() == places


def test_no_candidates_at_all_give_no_items() -> None:
    scores = RoughCatalogue(np.ones((1, 20), np.float32), 0.0, seed=1)
    (best,) = Selection(scores, scores.rows, [np.arange(20)]).best([10])
    assert len(best) == 0


def test_scores_of_items_are_given_in_the_order_asked() -> None:
    numbers = np.arange(80, dtype=np.float32).reshape(2, 40)
    scores = RoughCatalogue(numbers, 0.4, seed=1)
    rows, items = np.array([0, 0, 0, 1, 1]), np.array([39, 3, 3, 17, 0])
    assert scores.of_items(scores.rows, rows, items).tolist() == [
        39,
        3,
        3,
        57,
        40,
    ]


@pytest.mark.usefixtures("layout")
def test_places_among_a_catalogue_of_equals_take_memory_once() -> None:
    n_items = 4096
    scores = RoughCatalogue(np.zeros((1, n_items), np.float32), 0.0, seed=1)
    items = np.random.default_rng(0).permutation(n_items)[:500]
    targets = [ScoredItems(items, np.zeros(500, np.float32))]
    asked = Selection(scores, scores.rows, [np.zeros(0, np.int64)], targets)
    noted = sum(len(near) for _, near in asked._places[0].unsure)
    assert noted == n_items  # not one list for each of 500
    assert asked.places(0).tolist() == (items + 1).tolist()
