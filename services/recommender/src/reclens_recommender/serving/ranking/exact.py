"""Exact rankers: all items are scored, and every answer has the bits that it has alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch
from reclens_recommender.serving.ranking.catalogue import Catalogue
from reclens_recommender.serving.ranking.ranker import TopKQuery, TopKResult
from reclens_recommender.serving.ranking.selection import Selection
from reclens_recommender.serving.scores import (
    NO_ITEMS,
    ScoredItems,
    SortedCandidates,
    UnsortedScores,
)

_MAX_SCORES = 1 << 25
"""Scores that are in memory at once where a pass of the model gives those of many queries."""


class ProductRanker:
    """One product of a vector with all item vectors for every query: of few items, and on a GPU.

    Untouched scores that are kept sorted with the representation are not computed again.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._score = catalogue.scores

    def rank(self, queries: Sequence[TopKQuery]) -> list[TopKResult]:
        """Answer ``queries``, see `Ranker`."""
        return [self._rank(query) for query in queries]

    def _rank(self, query: TopKQuery) -> TopKResult:
        one, kept = query.representation, query.representation.scores
        return _by_all_scores(
            query,
            UnsortedScores(self._score(one.x), query.excluded)
            if kept is None
            else kept.without(query.excluded),
            None if query.edited is None else self._score(query.edited),
        )


class ForwardPassRanker:
    """The model's own forward pass for every query, with edits written in while it runs.

    Args:
        model: in eval mode.
        site: where edits are written.
        together: whether many queries share a pass, which may change the last bits.
    """

    def __init__(self, model: Recommender, site: ProbeSite, *, together: bool = False) -> None:
        self._model = model
        self._site = site
        self._batch_size = max(1, _MAX_SCORES // (2 * model.n_items)) if together else 1

    def rank(self, queries: Sequence[TopKQuery]) -> list[TopKResult]:
        """Answer ``queries``, see `Ranker`."""
        return [
            result
            for start in range(0, len(queries), self._batch_size)
            for result in self._rank(queries[start : start + self._batch_size])
        ]

    def _rank(self, queries: Sequence[TopKQuery]) -> list[TopKResult]:
        before = self._scores(queries, None)
        edited = {row: x for row, query in enumerate(queries) if (x := query.edited) is not None}
        after: dict[int, Tensor] = {}
        if edited:
            x = torch.stack(list(edited.values()))
            scores = self._scores([queries[row] for row in edited], x)
            after = dict(zip(edited, scores, strict=True))
        return [
            _by_all_scores(query, UnsortedScores(before[row], query.excluded), after.get(row))
            for row, query in enumerate(queries)
        ]

    def _scores(
        self, queries: Sequence[TopKQuery], x: Float[Tensor, "n_queries d_model"] | None
    ) -> Float[Tensor, "n_queries n_items"]:
        """Scores by the model's own forward pass, with ``x`` written in where it is given."""
        subjects = [query.representation.subject for query in queries]
        batch = UserBatch.of(
            [subject.history for subject in subjects],
            [subject.user_index for subject in subjects],
        ).to(self._model.device)
        if x is None:
            return self._model(batch)
        with self._site.intervene(self._model, lambda _: x):
            return self._model(batch)


def _by_all_scores(
    query: TopKQuery,
    untouched: SortedCandidates | UnsortedScores,
    edited: Float[Tensor, " n_items"] | None,
) -> TopKResult:
    result = TopKResult.unedited(*query.top_k_of(untouched.best))
    if edited is None:
        return result
    best, _ = query.top_k_of(UnsortedScores(edited, query.excluded).best)
    return result.edited(best, untouched.places(best.items), untouched.scores[best.items])


class FilteredRanker:
    """Large products of all queries find what matters, products of one vector compute it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def rank(self, queries: Sequence[TopKQuery]) -> list[TopKResult]:
        """Answer ``queries``, see `Ranker`."""
        x = [query.representation.x for query in queries]
        best = self._edited_best(queries)
        sizes = [len(found) for found in best.values()]
        targets = [NO_ITEMS] * len(queries)
        if best:
            items = np.concatenate([found.items for found in best.values()])
            scores = self._catalogue.of_items(x, np.repeat(list(best), sizes), items)
            parts = np.split(scores, np.cumsum(sizes)[:-1])
            for (row, found), part in zip(best.items(), parts, strict=True):
                targets[row] = ScoredItems(found.items, part)
        excluded = [query.excluded for query in queries]
        selection = Selection(self._catalogue, x, excluded, targets if best else None)
        results: list[TopKResult] = []
        for row, found in enumerate(_top_k(selection, queries)):
            result = TopKResult.unedited(*found)
            if row in best:
                result = result.edited(best[row], selection.places(row), targets[row].scores)
            results.append(result)
        return results

    def _edited_best(self, queries: Sequence[TopKQuery]) -> dict[int, ScoredItems]:
        """The best items by the edited scores, for the rows of queries that have an edit."""
        edited = {row: x for row, query in enumerate(queries) if (x := query.edited) is not None}
        if not edited:
            return {}
        x = list(edited.values())
        some = [queries[row] for row in edited]
        selection = Selection(self._catalogue, x, [query.excluded for query in some])
        best = [found for found, _ in _top_k(selection, some)]
        return dict(zip(edited, best, strict=True))


def _top_k(
    selection: Selection, queries: Sequence[TopKQuery]
) -> list[tuple[ScoredItems, npt.NDArray[np.int64]]]:
    """The best items of each row within its query's limits, and their places, from 0."""
    first = selection.best([query.top_k for query in queries])

    def best(row: int, count: int) -> ScoredItems:
        return first[row] if count == queries[row].top_k else selection.best([count], [row])[0]

    return [query.top_k_of(partial(best, row)) for row, query in enumerate(queries)]
