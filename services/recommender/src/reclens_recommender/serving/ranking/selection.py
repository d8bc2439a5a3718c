"""The best items and the places of given ones, without sorting the catalogue.

Two levels: the maximum of every block of items, then only the blocks that can hold what is asked
for. Both are exact, ties are in order of the item's row.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from reclens_recommender.serving.ranking.catalogue import GROUP, Catalogue
from reclens_recommender.serving.scores import ScoredItems

_LONG_BLOCKS = 100_000
"""Items from which on blocks are longer: fewer maxima to look through, more scores per block."""


class Selection:
    """One pass over the scores of some rows, after which their best items can be asked for.

    Args:
        catalogue: the items.
        x: a vector for each row.
        excluded: for each row the items that are no candidates, rising.
        targets: for each row items with their exact scores whose places are wanted; None: none.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        x: Sequence[Float[Tensor, " d_model"]],
        excluded: Sequence[npt.NDArray[np.int64]],
        targets: Sequence[ScoredItems] | None = None,
    ) -> None:
        self._catalogue, self._x = catalogue, x
        vectors = torch.stack(list(x))
        self._margins = catalogue.margins(vectors)
        self._block = GROUP if catalogue.n_items < _LONG_BLOCKS else 8 * GROUP
        self._places = list(map(_Places, targets, self._margins)) if targets else []
        self._lowest = np.array([places.lowest for places in self._places], dtype=np.float32)
        owners = np.repeat(np.arange(len(x)), [len(items) for items in excluded])
        items = np.concatenate(excluded)
        # Of fresh memory only what is written to is ever made.
        self._is_excluded = np.zeros((len(x), catalogue.n_items), dtype=bool)
        self._is_excluded[owners, items] = True
        order = np.argsort(items, kind="stable")
        self._left_out = owners[order], items[order]
        self._maxima = torch.empty(len(x), -(-catalogue.n_items // self._block))
        catalogue.visit(vectors, self._search)

    def best(self, counts: Sequence[int], rows: Sequence[int] | None = None) -> list[ScoredItems]:
        """The best items of each row, as many as ``counts`` asks or there are candidates.

        Args:
            counts: one for each row, at least 1.
            rows: those that are asked for; None: all.
        """
        at, wanted = np.arange(len(counts)) if rows is None else np.array(rows), np.array(counts)
        of_rows = self._maxima[torch.from_numpy(at)]
        n_blocks = of_rows.shape[1]
        highest = of_rows.topk(min(int(wanted.max()), n_blocks), dim=1).values.numpy()
        edges = highest[np.arange(len(at)), np.minimum(wanted, n_blocks) - 1]
        edges = np.where(wanted <= n_blocks, edges, -np.inf)
        # As many candidates as are asked for reach ``edges``, give or take a margin. Nothing whose
        # exact score stays below that is among the best, and no block whose bound shows it.
        maxima, margins = of_rows.numpy(), self._margins[at]
        reach = np.nextafter((edges - 2 * margins).astype(np.float32), np.float32(-np.inf))
        owners, blocks = np.nonzero((maxima >= reach[:, None]) & (maxima > -np.inf))
        per_block = self._block // GROUP
        groups = blocks
        if per_block > 1:
            groups = (blocks[:, None] * per_block + np.arange(per_block)).ravel()
            there = groups * GROUP < self._catalogue.n_items
            owners, groups = np.repeat(owners, per_block)[there], groups[there]
        exact = self._catalogue.exact(self._x, at[owners], groups)
        reached = np.nextafter((edges - margins).astype(np.float32), np.float32(-np.inf))
        lines, columns = np.nonzero((exact >= reached[owners, None]) & (exact > -np.inf))
        owners, scores = owners[lines], exact[lines, columns]
        items = groups[lines] * GROUP + columns
        allowed = ~self._is_excluded[at[owners], items]
        owners, scores, items = owners[allowed], scores[allowed], items[allowed]
        order = np.lexsort((items, -scores, owners))
        ends = np.searchsorted(owners, np.arange(len(at) + 1))
        found: list[ScoredItems] = []
        for place, count in enumerate(counts):
            chosen = order[ends[place] : min(ends[place] + count, ends[place + 1])]
            found.append(ScoredItems(items[chosen], scores[chosen]))
        return found

    def places(self, row: int) -> npt.NDArray[np.int64]:
        """Places, from 1, of the row's targets among its candidates."""
        places = self._places[row]
        greater = places.greater[places.level_of]
        for level, items in places.unsure:
            scores = self._catalogue.of_items(self._x, np.full(len(items), row), items)
            targets = np.flatnonzero(places.level_of == level)
            score = places.items.scores[targets[0]]
            # Those of equal scores that are before a target are of lower rows.
            equal = items[scores == score].searchsorted(places.items.items[targets])
            greater[targets] += np.count_nonzero(scores > score) + equal
        return greater + 1

    def _search(self, start: int, scores: Tensor) -> None:
        numbers = scores.numpy()
        owners, items = self._left_out
        first, last = np.searchsorted(items, [start, start + scores.shape[1]])
        if first < last:
            numbers[owners[first:last], items[first:last] - start] = -np.inf
        maxima = _block_maxima(scores, self._block)
        begin = start // self._block
        self._maxima[:, begin : begin + maxima.shape[1]] = maxima
        if self._places:
            for row in np.flatnonzero(maxima.amax(dim=1).numpy() >= self._lowest).tolist():
                self._places[row].count(start, numbers[row])


class _Places:
    """Counts the candidates before each of some items while their scores pass by."""

    def __init__(self, items: ScoredItems, margin: np.float64) -> None:
        self.items = items
        low = np.nextafter((items.scores - margin).astype(np.float32), np.float32(-np.inf))
        high = np.nextafter((items.scores + margin).astype(np.float32), np.float32(np.inf))
        # Equal scores are looked at once: many items may have the same.
        _, firsts, self.level_of = np.unique(items.scores, return_index=True, return_inverse=True)
        """Which of the distinct scores each item has."""
        self.greater = np.zeros(len(firsts), dtype=np.int64)
        """Candidates above each distinct score for sure."""
        self.unsure: list[tuple[int, npt.NDArray[np.int64]]] = []
        """Distinct scores, and items whose scores are too near to tell without exact ones."""
        self._low, self._high = low[firsts], high[firsts]
        self._is_lone = np.bincount(self.level_of, minlength=len(firsts)) == 1
        self._lock = threading.Lock()
        self.lowest = low.min() if len(low) else np.float32(np.inf)

    def count(self, start: int, scores: Float[np.ndarray, " size"]) -> None:
        values = scores[scores >= self.lowest]
        values.sort()
        above = values.searchsorted(self._high, side="right")
        # Parts of the catalogue may be counted by several threads.
        with self._lock:
            self.greater += len(values) - above
        near = above - values.searchsorted(self._low, side="left")
        items = self.items.items
        here = (items >= start) & (items < start + len(scores))
        own = np.bincount(self.level_of[here], minlength=len(near))
        # A lone item is near its own score, and before nobody of that; of several, one is.
        for level in np.flatnonzero(near > own * self._is_lone).tolist():
            within = (scores >= self._low[level]) & (scores <= self._high[level])
            self.unsure.append((level, np.flatnonzero(within) + start))


def _block_maxima(scores: Float[Tensor, "rows size"], block: int) -> Float[Tensor, "rows blocks"]:
    whole = scores.shape[1] // block * block
    maxima = scores[:, :whole].unflatten(1, (-1, block)).amax(dim=2)
    if whole == scores.shape[1]:
        return maxima
    return torch.cat([maxima, scores[:, whole:].amax(dim=1, keepdim=True)], dim=1)
