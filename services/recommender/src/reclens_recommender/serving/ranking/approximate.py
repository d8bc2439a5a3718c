"""Ranks by the candidates of an approximate index: their scores are exact, nothing else is scored.

What an index does not find is missing from an answer, and of an item that is not among the
candidates of the untouched representation the rank is not known. Each representation is searched
for by itself, so that an answer does not depend on which others are asked for with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reclens_recommender.serving.ranking.catalogue import GROUP, Catalogue
from reclens_recommender.serving.ranking.item_index import NO_CANDIDATE, ItemIndex
from reclens_recommender.serving.ranking.ranker import (
    DEEPER,
    UNKNOWN_RANK,
    Ranker,
    TopKQuery,
    TopKResult,
)
from reclens_recommender.serving.representations.scores import ScoredItems

_MARGIN = 64
"""Candidates beyond those that an answer takes: more of them make more ranks known."""
_MOST_CANDIDATES = 1 << 14
"""Beyond these, scoring all items costs no more."""


@dataclass(frozen=True, eq=False)
class _Candidates:
    """The best candidates of one vector."""

    looked_at: ScoredItems
    """All that were looked at, without those that are excluded."""
    kept: npt.NDArray[np.int64]
    """Places, from 0, of those that an answer takes."""


class ApproximateRanker:
    """Scores the candidates of an index; a query that they do not suffice for is answered exactly.

    Args:
        index: of the catalogue.
        catalogue: the items.
        exact: answers where the searched lists hold too few items.
        threads: threads that share the searches of a batch.
    """

    def __init__(
        self, index: ItemIndex, catalogue: Catalogue, exact: Ranker, threads: int = 1
    ) -> None:
        self.index = index
        self._catalogue = catalogue
        self._exact = exact
        self._pool = ThreadPoolExecutor(threads, "index") if threads > 1 else None

    def rank(self, queries: Sequence[TopKQuery]) -> list[TopKResult]:
        """Answer ``queries``, see `Ranker`."""
        vectors = [(query, query.representation.x) for query in queries]
        vectors += [(query, x) for query in queries if (x := query.edited) is not None]
        searched = self._search_each(vectors)
        untouched = searched[: len(queries)]
        edited = iter(searched[len(queries) :])
        found = [
            self._result(query, before, None if query.edited is None else next(edited))
            for query, before in zip(queries, untouched, strict=True)
        ]
        left = [query for query, one in zip(queries, found, strict=True) if one is None]
        rest = iter(self._exact.rank(left) if left else ())
        return [next(rest) if one is None else one for one in found]

    def _search_each(self, vectors: Sequence[tuple[TopKQuery, Tensor]]) -> list[_Candidates | None]:
        def search(one: tuple[TopKQuery, Tensor]) -> _Candidates | None:
            # What mode a thread is in is its own.
            with torch.inference_mode():
                return self._search(*one)

        if self._pool is None or len(vectors) == 1:
            return list(map(search, vectors))
        return list(self._pool.map(search, vectors))

    def _search(self, query: TopKQuery, x: Tensor) -> _Candidates | None:
        n_items = self._catalogue.n_items
        depth = min(query.top_k + len(query.excluded) + _MARGIN, n_items)
        while depth <= _MOST_CANDIDATES:
            items = self.index.candidates(x[None], depth)[0].numpy()
            items = items[items != NO_CANDIDATE]
            left = _without(items, query.excluded)
            scores = self._scores(x, left)
            order = np.lexsort((left, -scores))
            candidates = ScoredItems(left[order], scores[order])
            kept = query.within_limits(candidates.items)
            if len(kept) == query.top_k or len(items) == n_items:
                return _Candidates(candidates, kept)
            if len(items) < depth:
                return None
            depth = min(DEEPER * depth, n_items)
        return None

    def _result(
        self, query: TopKQuery, before: _Candidates | None, after: _Candidates | None
    ) -> TopKResult | None:
        if before is None or (query.edited is not None and after is None):
            return None
        result = TopKResult.unedited(before.looked_at.take(before.kept), before.kept)
        if after is None:
            return result
        best = after.looked_at.take(after.kept)
        known = {item: rank for rank, item in enumerate(before.looked_at.items.tolist(), start=1)}
        ranks = [known.get(item, UNKNOWN_RANK) for item in best.items.tolist()]
        scores = self._scores(query.representation.x, best.items)
        return result.edited(best, np.array(ranks, dtype=np.int64), scores)

    def _scores(self, x: Tensor, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Exact scores of items that are seldom neighbours."""
        groups = self._catalogue.exact([x], 0 * items, items // GROUP)
        return groups[np.arange(len(items)), items % GROUP]


def _without(
    items: npt.NDArray[np.int64], excluded: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Those of ``items`` that are not among ``excluded``, which rise."""
    if not len(excluded):
        return items
    nearest = excluded.searchsorted(items)
    nearest[nearest == len(excluded)] = 0
    return items[excluded[nearest] != items]
