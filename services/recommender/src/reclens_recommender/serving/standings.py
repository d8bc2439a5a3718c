"""How all items stand by exact scores: the best of them, and the places of given ones."""

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
class Ranked:
    """Items in order, best first."""

    items: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.items)

    def take(self, places: npt.NDArray[np.int64]) -> Ranked:
        """Some of the places."""
        return Ranked(self.items[places], self.scores[places])


NOTHING: Final = Ranked(np.zeros(0, np.int64), np.zeros(0, np.float32))


class Standings:
    """The scores of all items for one representation. Equal ones are in order of the item's row.

    Args:
        scores: one an item.
        in_order: sort them once and for all, for a row that is asked again and again: a place is
            then looked up. A row that is asked once is cheaper without.
    """

    def __init__(self, scores: Float[Tensor, " n_items"], *, in_order: bool = False) -> None:
        self._tensor = scores.detach().cpu()
        self.scores: npt.NDArray[np.float32] = self._tensor.numpy()
        """[n_items]"""
        self._order: npt.NDArray[np.signedinteger] | None = None
        self._place: npt.NDArray[np.signedinteger] = np.zeros(0, np.int16)
        if in_order:
            order = self._tensor.sort(descending=True, stable=True).indices.numpy()
            dtype = np.int16 if len(order) < 1 << 15 else np.int32
            self._order = order.astype(dtype)
            self._place = np.empty(len(order), dtype)
            self._place[order] = np.arange(len(order), dtype=dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        order = 0 if self._order is None else self._order.nbytes
        return self.scores.nbytes + order + self._place.nbytes

    def best(self, count: int, excluded: npt.NDArray[np.int64]) -> Ranked:
        """The best items, as many as ``count`` or there are candidates.

        Args:
            count: at least 1.
            excluded: distinct items that are no candidates.
        """
        if self._order is not None:
            head = self._order[: count + len(excluded)]
            if len(excluded):
                left = np.ones(len(head), dtype=bool)
                gone = self._place[excluded]
                left[gone[gone < len(head)]] = False
                head = head[left][:count]
            items = head.astype(np.int64)
            return Ranked(items, self.scores[items])
        left = self._candidates(excluded)
        edge = _edge(left, count)
        numbers = left.numpy()
        reach = numbers >= edge if edge > -np.inf else numbers > -np.inf
        items = np.flatnonzero(reach)
        scores = numbers[items]
        order = np.argsort(-scores, kind="stable")[:count]
        return Ranked(items[order], scores[order])

    def places(
        self, items: npt.NDArray[np.int64], excluded: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Places of candidates, from 1, among the candidates."""
        if self._order is not None:
            place = self._place[items]
            gone = self._place[excluded]
            gone.sort()
            return place.astype(np.int64) - gone.searchsorted(place) + 1
        if not len(items):
            return np.zeros(0, np.int64)
        numbers = self._candidates(excluded).numpy()
        targets = numbers[items]
        above = numbers[numbers >= targets.min()]
        above.sort()
        ends = above.searchsorted(targets, side="right")
        places = len(above) - ends + 1
        tied = ends - above.searchsorted(targets, side="left") > 1
        for score in np.unique(targets[tied]).tolist():
            equals = np.flatnonzero(numbers == score)
            these = targets == score
            places[these] += equals.searchsorted(items[these])
        return places

    def _candidates(self, excluded: npt.NDArray[np.int64]) -> Float[Tensor, " n_items"]:
        left = self._tensor.clone()
        left.numpy()[excluded] = -np.inf
        return left


def _edge(scores: Float[Tensor, " n_items"], count: int) -> float:
    """A score that at least ``count`` items reach, and few more; minus infinity where none is."""
    n_blocks = len(scores) // _BLOCK
    if len(scores) >= _LONG and n_blocks >= count:
        # As many blocks reach it, and with each its best item.
        scores = scores[: n_blocks * _BLOCK].view(-1, _BLOCK).amax(dim=1)
    if count > len(scores):
        return -np.inf
    return float(torch.topk(scores, count).values[-1])
