"""Ranks by the exact scores of all items, each answer with the bits that it has alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.recommenders import UserBatch
from reclens_recommender.serving.ranking.finding import Found, Wanted
from reclens_recommender.serving.ranking.scoring import FilteredScores
from reclens_recommender.serving.ranking.selection import Selection, exact_scores
from reclens_recommender.serving.representations import Passes
from reclens_recommender.serving.served_model import Method, ServedModel
from reclens_recommender.serving.standings import NOTHING, Ranked, Standings

_DEEPENING = 4
"""Times as many items are looked at where limits leave too few."""
_MAX_DENSE_SCORES = 1 << 25
"""Scores that are in memory at once where a pass of the model gives those of many requests."""


def find(served: ServedModel, wanted: Sequence[Wanted]) -> list[Found]:
    """Find what is ``wanted``. Equal scores are in order of the item's row."""
    match served.method:
        case Method.FILTERED:
            return _filtered(served, wanted)
        case Method.LONE:
            return [_by_lone_products(served, one) for one in wanted]
        case Method.PASSES:
            size = max(1, _MAX_DENSE_SCORES // (2 * served.catalogue.n_items))
            return [
                found
                for start in range(0, len(wanted), size)
                for found in _by_passes(served, wanted[start : start + size])
            ]


# --- row by row -----------------------------------------------------------------------------------


def _by_lone_products(served: ServedModel, one: Wanted) -> Found:
    score = served.catalogue.lone
    before = one.case.standings or Standings(score(one.case.x))
    after = None if one.edited is None else Standings(score(one.edited))
    return _standing(served, one, before, after)


def _standing(
    served: ServedModel, one: Wanted, before: Standings, after: Standings | None
) -> Found:
    own, places = _answer(served, one, lambda count: before.best(count, one.excluded))
    if after is None:
        return Found(own, places + 1)
    best, _ = _answer(served, one, lambda count: after.best(count, one.excluded))
    return Found(
        untouched=own,
        places=places + 1,
        edited=best,
        places_before=before.places(best.items, one.excluded),
        scores_before=before.scores[best.items],
    )


def _by_passes(served: ServedModel, wanted: Sequence[Wanted]) -> list[Found]:
    before = _passes(served, wanted, None)
    edited = [(row, x) for row, one in enumerate(wanted) if (x := one.edited) is not None]
    after: dict[int, Standings] = {}
    if edited:
        scores = _passes(
            served, [wanted[row] for row, _ in edited], torch.stack([x for _, x in edited])
        )
        after = {row: Standings(of_row) for (row, _), of_row in zip(edited, scores, strict=True)}
    return [
        _standing(served, one, Standings(before[row]), after.get(row))
        for row, one in enumerate(wanted)
    ]


def _passes(
    served: ServedModel, wanted: Sequence[Wanted], x: Float[Tensor, "n_wanted d_model"] | None
) -> Float[Tensor, "n_wanted n_items"]:
    """Scores by the model's own forward pass, with ``x`` written in where it is given."""
    subjects = [one.subject for one in wanted]
    everyone = list(range(len(subjects)))
    together = served.representations.passes is Passes.TOGETHER
    scores: list[Tensor] = []
    for rows in [everyone] if together else [[row] for row in everyone]:
        batch = UserBatch.of(
            [subjects[row].history for row in rows], [subjects[row].user_index for row in rows]
        ).to(served.model.device)
        if x is None:
            scores.append(served.model(batch))
            continue
        written = x[rows]
        with served.site.intervene(served.model, lambda _, written=written: written):
            scores.append(served.model(batch))
    return torch.cat(scores)


# --- all rows at once -----------------------------------------------------------------------------


def _filtered(served: ServedModel, wanted: Sequence[Wanted]) -> list[Found]:
    excluded = [one.excluded for one in wanted]
    norms = np.array([one.case.reading.norm for one in wanted])
    untouched = FilteredScores(served.catalogue, [one.case.x for one in wanted], norms)
    edited = [(row, x) for row, one in enumerate(wanted) if (x := one.edited) is not None]
    if not edited:
        selection = Selection(untouched, excluded)
        return [Found(own, places + 1) for own, places in _answers(served, wanted, selection)]
    rows = [row for row, _ in edited]
    vectors = [x for _, x in edited]
    lengths = torch.stack(vectors).double().norm(dim=1).numpy()
    scores = FilteredScores(served.catalogue, vectors, lengths)
    selection = Selection(scores, [excluded[row] for row in rows])
    answers = _answers(served, [wanted[row] for row in rows], selection)
    best = {row: found for row, (found, _) in zip(rows, answers, strict=True)}
    before = _scores_before(untouched, best)
    targets = [
        Ranked(best[row].items, before[row]) if row in best else NOTHING
        for row in range(len(wanted))
    ]
    selection = Selection(untouched, excluded, targets)
    found: list[Found] = []
    for row, (own, places) in enumerate(_answers(served, wanted, selection)):
        if row in best:
            places_before = selection.places(row)
            found.append(Found(own, places + 1, best[row], places_before, before[row]))
        else:
            found.append(Found(own, places + 1))
    return found


def _scores_before(
    untouched: FilteredScores, best: dict[int, Ranked]
) -> dict[int, npt.NDArray[np.float32]]:
    """Untouched scores of the items that are best for some rows, which rise."""
    sizes = [len(found) for found in best.values()]
    items = np.concatenate([found.items for found in best.values()])
    scores = exact_scores(untouched, np.repeat(list(best), sizes), items)
    return dict(zip(best, np.split(scores, np.cumsum(sizes)[:-1]), strict=True))


def _answers(
    served: ServedModel, wanted: Sequence[Wanted], selection: Selection
) -> list[tuple[Ranked, npt.NDArray[np.int64]]]:
    best = selection.best([one.top_k for one in wanted])

    def of_row(row: int, count: int) -> Ranked:
        return best[row] if count == wanted[row].top_k else selection.best_of(row, count)

    return [
        _answer(served, one, lambda count, row=row: of_row(row, count))
        for row, one in enumerate(wanted)
    ]


def _answer(
    served: ServedModel, one: Wanted, best: Callable[[int], Ranked]
) -> tuple[Ranked, npt.NDArray[np.int64]]:
    """The best items that keep the limits, and their places, from 0."""
    depth = one.top_k
    found = best(depth)
    if not one.limits:
        return found, np.arange(len(found))
    while True:
        places = served.tags.keep(found.items, one.limits, one.top_k)
        if len(places) == one.top_k or len(found) < depth:
            return found.take(places), places
        depth = min(_DEEPENING * depth, served.catalogue.n_items + 1)
        found = best(depth)
