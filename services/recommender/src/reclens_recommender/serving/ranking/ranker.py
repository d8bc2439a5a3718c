"""The interface of rankers: queries for the best items of a catalogue, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from reclens.errors import NotFound
from reclens_recommender.serving.representations import Representation
from reclens_recommender.serving.scores import ScoredItems

UNKNOWN_RANK: Final = 0
"""Rank of an item that is further down than an approximate ranker looked."""
DEEPER: Final = 4
"""Times as many items are looked at where limits of tags leave too few."""


class TagIndex:
    """Which items carry which tag."""

    def __init__(self, tags: Sequence[Sequence[str]]) -> None:
        self._tags: Sequence[Sequence[str]] = tags

    def check(self, tag: str, field: str) -> None:
        """Refuse a tag that no item has.

        Raises:
            NotFound: names the field.
        """
        if tag not in self._known:
            raise NotFound(
                f"no item has the tag {tag!r}.", field=field, remedy="use a tag as items have it."
            )

    def within_limits(
        self, items: npt.NDArray[np.int64], limits: Mapping[str, int], count: int
    ) -> npt.NDArray[np.int64]:
        """Places of the first ``count`` of ``items`` that keep all limits, from the first on."""
        if not limits:
            return np.arange(min(count, len(items)))
        left: dict[str, int] = dict(limits)
        places: list[int] = []
        for place, item in enumerate(items.tolist()):
            if len(places) == count:
                break
            limited = left.keys() & set(self._tags[item])
            if any(left[tag] == 0 for tag in limited):
                continue
            for tag in limited:
                left[tag] -= 1
            places.append(place)
        return np.array(places, dtype=np.int64)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(tag for tags in self._tags for tag in tags)


@dataclass(frozen=True, eq=False)
class TopKQuery:
    """A query for the best items, before and after an edit."""

    representation: Representation
    """What the model makes of the subject, untouched."""
    edited: Float[Tensor, " d_model"] | None
    """The edited vector, in memory of its own: kernels may compute otherwise where a vector is not
    aligned. None: nothing was edited."""
    top_k: int
    """How many items to find."""
    excluded: npt.NDArray[np.int64]
    """Items that are no candidates, rising."""
    limits: Mapping[str, int]
    """Most items that may carry a tag."""
    tags: TagIndex
    """Which items carry the tags that are limited."""

    def within_limits(self, items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Places, from 0, of those of ``items`` that an answer takes."""
        return self.tags.within_limits(items, self.limits, self.top_k)

    def top_k_of(
        self, best: Callable[[int], ScoredItems]
    ) -> tuple[ScoredItems, npt.NDArray[np.int64]]:
        """The best items within the limits, and their places, from 0.

        Args:
            best: gives as many of the best candidates as asked for, fewer only where there are
                no more.
        """
        depth = self.top_k
        found = best(depth)
        if not self.limits:
            return found, np.arange(len(found))
        while True:
            places = self.within_limits(found.items)
            if len(places) == self.top_k or len(found) < depth:
                return found.take(places), places
            depth *= DEEPER
            found = best(depth)


@dataclass(frozen=True, eq=False)
class RankedItems:
    """Items in order, best first, as columns."""

    items: npt.NDArray[np.int64]
    """Rows of the items in the data set."""
    scores: npt.NDArray[np.float32]
    """Scores that they are ordered by."""
    baseline_ranks: npt.NDArray[np.int64]
    """Places by the untouched scores, from 1, among the same candidates, or `UNKNOWN_RANK`."""
    baseline_scores: npt.NDArray[np.float32]
    """The scores before the edits."""


class TopKResult(NamedTuple):
    """What was found for a query."""

    baseline: RankedItems
    """The best items by the untouched scores."""
    ranked: RankedItems
    """The best items by the edited scores; ``baseline`` itself where nothing was edited."""

    @classmethod
    def unedited(cls, found: ScoredItems, places: npt.NDArray[np.int64]) -> TopKResult:
        """The result for a query without an edit.

        Args:
            found: the best items.
            places: from 0, in the untouched order: limits pass items over.
        """
        baseline = RankedItems(found.items, found.scores, places + 1, found.scores)
        return cls(baseline, baseline)

    def edited(
        self, found: ScoredItems, ranks: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]
    ) -> TopKResult:
        """The same with what an edit makes best, its untouched ranks and its untouched scores."""
        return TopKResult(self.baseline, RankedItems(found.items, found.scores, ranks, scores))


class Ranker(Protocol):
    """Finds the best items. An answer has the same bits whatever other queries come with it."""

    def rank(self, queries: Sequence[TopKQuery]) -> list[TopKResult]:
        """Answer ``queries``, in order. Equal scores are in order of the item's row.

        Called in inference mode, by one thread at a time.
        """
        ...
