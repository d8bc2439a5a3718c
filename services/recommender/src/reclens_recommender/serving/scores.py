"""The scores of all items for one representation: the best of them, and the places of given ones.

Equal scores are in order of the item's row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

_BLOCK = 128
"""Neighbours of which only the best is looked at first, in a long row."""
_LONG = 1 << 15
"""Items from which on the maxima of blocks save more than they cost."""


@dataclass(frozen=True, eq=False)
class ScoredItems:
    """Items in order, best first."""

    items: npt.NDArray[np.int64]
    """Rows of the items in the data set."""
    scores: npt.NDArray[np.float32]
    """The score of each item."""

    def __len__(self) -> int:
        return len(self.items)

    def take(self, places: npt.NDArray[np.int64]) -> ScoredItems:
        """The items at some places, from 0."""
        return ScoredItems(self.items[places], self.scores[places])


NO_ITEMS: Final = ScoredItems(np.zeros(0, np.int64), np.zeros(0, np.float32))


class SortedScores:
    """Scores that are sorted once and asked again and again: a place is then looked up.

    Args:
        scores: one an item.
    """

    def __init__(self, scores: Float[Tensor, " n_items"]) -> None:
        scores = scores.detach().cpu()
        self.scores: npt.NDArray[np.float32] = scores.numpy()
        """[n_items]"""
        order = scores.sort(descending=True, stable=True).indices.numpy()
        dtype = np.int16 if len(order) < 1 << 15 else np.int32
        self._order = order.astype(dtype)
        self._place = np.empty(len(order), dtype)
        self._place[order] = np.arange(len(order), dtype=dtype)

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take."""
        return self.scores.nbytes + self._order.nbytes + self._place.nbytes

    def without(self, excluded: npt.NDArray[np.int64]) -> SortedCandidates:
        """The candidates that are left without some distinct items."""
        return SortedCandidates(self.scores, self._order, self._place, self._place[excluded])


class SortedCandidates:
    """Candidates by scores that are sorted already, see `SortedScores`."""

    __slots__ = ("_excluded", "_order", "_place", "scores")

    def __init__(
        self,
        scores: npt.NDArray[np.float32],
        order: npt.NDArray[np.signedinteger],
        place: npt.NDArray[np.signedinteger],
        excluded: npt.NDArray[np.signedinteger],
    ) -> None:
        self.scores = scores
        """[n_items]"""
        self._order, self._place, self._excluded = order, place, excluded

    def best(self, count: int) -> ScoredItems:
        """The best items, as many as ``count``, which is at least 1, or there are candidates."""
        head = self._order[: count + len(self._excluded)]
        if len(self._excluded):
            left = np.ones(len(head), dtype=bool)
            left[self._excluded[self._excluded < len(head)]] = False
            head = head[left][:count]
        items = head.astype(np.int64)
        return ScoredItems(items, self.scores[items])

    def places(self, items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Places of candidates, from 1, among the candidates."""
        place, excluded = self._place[items], np.sort(self._excluded)
        return place.astype(np.int64) - excluded.searchsorted(place) + 1


class UnsortedScores:
    """Scores that are asked once or twice, which costs less than to sort them.

    Args:
        scores: one an item; copied.
        excluded: items that are no candidates.
    """

    def __init__(self, scores: Float[Tensor, " n_items"], excluded: npt.NDArray[np.int64]) -> None:
        self._tensor = scores.detach().cpu().clone()
        self.scores: npt.NDArray[np.float32] = self._tensor.numpy()
        """[n_items], minus infinity for what is excluded."""
        self.scores[excluded] = -np.inf

    def best(self, count: int) -> ScoredItems:
        """The best items, as many as ``count``, which is at least 1, or there are candidates."""
        edge = self._edge(count)
        reach = self.scores >= edge if edge > -np.inf else self.scores > -np.inf
        items = np.flatnonzero(reach)
        scores = self.scores[items]
        order = np.argsort(-scores, kind="stable")[:count]
        return ScoredItems(items[order], scores[order])

    def places(self, items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Places of candidates, from 1, among the candidates."""
        if not len(items):
            return np.zeros(0, np.int64)
        targets = self.scores[items]
        above = self.scores[self.scores >= targets.min()]
        above.sort()
        ends = above.searchsorted(targets, side="right")
        places = len(above) - ends + 1
        tied = ends - above.searchsorted(targets, side="left") > 1
        for score in np.unique(targets[tied]).tolist():
            equals = np.flatnonzero(self.scores == score)
            these = targets == score
            places[these] += equals.searchsorted(items[these])
        return places

    def _edge(self, count: int) -> float:
        """A score that at least ``count`` items reach, and few more, or minus infinity."""
        scores = self._tensor
        n_blocks = len(scores) // _BLOCK
        if len(scores) >= _LONG and n_blocks >= count:
            # As many blocks reach it, and with each its best item.
            scores = scores[: n_blocks * _BLOCK].view(-1, _BLOCK).amax(dim=1)
        if count > len(scores):
            return -np.inf
        return float(torch.topk(scores, count).values[-1])
