"""Ranks by the candidates of an approximate index: their scores are exact, nothing else is scored.

What an index does not find is missing from an answer, and of an item that is not among the
candidates of the untouched representation the place is not known. Each representation is searched
for by itself, so that an answer does not depend on which others are asked for with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from reclens_recommender.serving.ranking.approximate import NO_CANDIDATE, ItemIndex
from reclens_recommender.serving.ranking.finding import UNKNOWN_PLACE, Found, Wanted
from reclens_recommender.serving.ranking.limits import TagIndex
from reclens_recommender.serving.ranking.scoring import Catalogue, FilteredScores
from reclens_recommender.serving.ranking.selection import exact_scores
from reclens_recommender.serving.standings import Ranked

_MARGIN = 64
"""Candidates beyond those that an answer takes: more of them make more places known."""
_DEEPENING = 4
"""Times as many candidates are looked at where too few are left."""
_MOST_CANDIDATES = 1 << 14
"""Beyond these, scoring all items costs no more."""


@dataclass(frozen=True, eq=False)
class _Look:
    """The best candidates of one representation."""

    candidates: Ranked
    """All that were looked at, without those that are excluded."""
    kept: npt.NDArray[np.int64]
    """Places, from 0, of those that an answer takes."""


def find(
    index: ItemIndex, catalogue: Catalogue, tags: TagIndex, wanted: Sequence[Wanted]
) -> list[Found | None]:
    """Find what is ``wanted``. Equal scores are in order of the item's row.

    None, where the lists that the index searches do not hold enough items: score them all then.
    """
    asked = [(one, one.case.x) for one in wanted]
    edited = [row for row, one in enumerate(wanted) if one.edited is not None]
    asked += [(wanted[row], x) for row in edited if (x := wanted[row].edited) is not None]
    # Nothing is bounded here: the norms do not matter.
    scores = FilteredScores(catalogue, [x for _, x in asked], np.zeros(len(asked)))
    looks = _looks(index, scores, tags, asked)
    of_edited = dict(zip(edited, looks[len(wanted) :], strict=True))

    found: list[Found | None] = []
    for row, look in enumerate(looks[: len(wanted)]):
        after = of_edited.get(row)
        if look is None or (row in of_edited and after is None):
            found.append(None)
            continue
        best = None if after is None else after.candidates.take(after.kept)
        items = np.zeros(0, np.int64) if best is None else best.items
        found.append(
            Found(
                untouched=look.candidates.take(look.kept),
                places=look.kept + 1,
                edited=best,
                places_before=_places(look.candidates.items, items),
                scores_before=exact_scores(scores, np.full(len(items), row), items),
            )
        )
    return found


def _looks(
    index: ItemIndex,
    scores: FilteredScores,
    tags: TagIndex,
    asked: Sequence[tuple[Wanted, Tensor]],
) -> list[_Look | None]:
    looks: list[_Look | None] = [None] * len(asked)
    depths = {
        place: min(one.top_k + len(one.excluded) + _MARGIN, scores.n_items)
        for place, (one, _) in enumerate(asked)
    }
    while depths := {place: n for place, n in depths.items() if n <= _MOST_CANDIDATES}:
        rows = list(depths)
        candidates = index.candidates_of_each(
            [asked[row][1] for row in rows], list(depths.values())
        )
        deeper: dict[int, int] = {}
        ranked = _ranked(scores, rows, asked, candidates)
        for row, items, some in zip(rows, candidates, ranked, strict=True):
            one, depth = asked[row][0], depths[row]
            kept = np.arange(min(one.top_k, len(some)))
            if one.limits:
                kept = tags.keep(some.items, one.limits, one.top_k)
            n_found = int(np.count_nonzero(items != NO_CANDIDATE))
            if len(kept) == one.top_k or n_found == scores.n_items:
                looks[row] = _Look(some, kept)
            elif n_found == depth:
                deeper[row] = min(_DEEPENING * depth, scores.n_items)
        depths = deeper
    return looks


def _ranked(
    scores: FilteredScores,
    rows: Sequence[int],
    asked: Sequence[tuple[Wanted, Tensor]],
    candidates: Sequence[npt.NDArray[np.int64]],
) -> list[Ranked]:
    """Candidates that are not excluded, by their exact scores."""
    left = [
        some[(some != NO_CANDIDATE) & ~np.isin(some, asked[row][0].excluded)]
        for row, some in zip(rows, candidates, strict=True)
    ]
    sizes = [len(some) for some in left]
    exact = exact_scores(scores, np.repeat(np.array(rows), sizes), np.concatenate(left))
    ranked: list[Ranked] = []
    for items, values in zip(left, np.split(exact, np.cumsum(sizes)[:-1]), strict=True):
        order = np.lexsort((items, -values))
        ranked.append(Ranked(items[order], values[order]))
    return ranked


def _places(
    candidates: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Places of ``items`` among ``candidates``, from 1, or `UNKNOWN_PLACE`."""
    places = {item: place for place, item in enumerate(candidates.tolist(), start=1)}
    return np.array([places.get(item, UNKNOWN_PLACE) for item in items.tolist()], dtype=np.int64)
