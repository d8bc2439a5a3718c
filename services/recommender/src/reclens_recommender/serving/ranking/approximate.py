"""Ranks by the candidates of an approximate index: their scores are exact, nothing else is scored.

For catalogues too large to score whole. Items are in inverted lists by k-means; a query looks into
the lists whose centres it likes best. The bias is one more coordinate, which every query meets with
1. An answer's scores are the recommender's own, and only an item that no searched list holds can be
missing from it; of an item that is not among the candidates of the untouched representation the
rank is not known. Each representation is searched for by itself, so that an answer does not depend
on which others are asked for with it. How many lists are searched is decided when the index is
made: the fewest that reach a wanted recall on representations of the release's own users, pushed as
steering pushes them.

Figures behind the choice of library and method: benchmarks/results/item_index.json.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import structlog
import torch
from jaxtyping import Float, Int
from torch import Tensor

from reclens.data import Dataset
from reclens.errors import InvalidInput, NotReady
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch
from reclens_recommender.serving.ranking.catalogue import GROUP, Catalogue
from reclens_recommender.serving.ranking.ranker import (
    DEEPER,
    UNKNOWN_RANK,
    Ranker,
    TopKQuery,
    TopKResult,
)
from reclens_recommender.serving.representations import represent, spread_users
from reclens_recommender.serving.scores import ScoredItems

if TYPE_CHECKING:
    from types import ModuleType

_MARGIN = 64
"""Candidates beyond those that an answer takes: more of them make more ranks known."""
_MOST_CANDIDATES = 1 << 14
"""Beyond these, scoring all items costs no more."""

MEASURED_AT: Final = 10
"""Recall is of the best so many items."""
NO_CANDIDATE: Final = -1
"""Fills a row where the searched lists hold fewer items than asked for."""

_TRAINING_POINTS_A_LIST = 64
_ITERATIONS = 10
_MOST_CANDIDATES_MEASURED = 200
_CHUNK = 64
_SAMPLE_USERS = 256
_PUSHES = (0.0, 0.2, 0.4, 0.8)
"""Parts of their norm by which users of the sample are pushed along a latent, in turn."""

logger = structlog.get_logger(__name__)


# --- ranking -------------------------------------------------------------------------------------


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


# --- the index -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class IndexReport:
    """What the index turned out to be."""

    lists: int
    """Inverted lists that the items are divided into."""
    lists_searched: int
    """Lists that a query looks into."""
    recall: float
    """Share of the ten best items that are found, mean over the sample, 0 to 1."""
    lowest_recall: float
    """The same for the query at the 5th percentile of the sample."""
    queries: int
    """Queries that the recall was measured on."""
    seconds: float
    """Time that making and measuring it took."""
    megabytes: int
    """Memory that the lists take, in MiB."""


class ItemIndex:
    """Candidates for the best items by ``x @ item_weights.T + item_biases``.

    Nothing changes after it is made: threads may search it at once.
    """

    def __init__(self, index: Any, report: IndexReport, n_items: int) -> None:
        self._index = index
        self.report = report
        self.n_items = n_items

    def candidates(self, x: Float[Tensor, "batch d_model"], n: int) -> Int[Tensor, "batch n"]:
        """Items that are probably the best ``n`` for each row, best first as the index knows them.

        Args:
            x: representations, on the CPU.
            n: how many, all items at most; rows with fewer end in ``NO_CANDIDATE``.
        """
        _scores, found = self._index.search(_queries(x), min(n, self.n_items))
        return torch.from_numpy(found)


def index_of_release(
    model: Recommender,
    site: ProbeSite,
    catalogue: Catalogue,
    directions: Float[Tensor, "n_latents d_model"],
    dataset: Dataset,
) -> ItemIndex:
    """An index of ``catalogue``; what it turned out to be is logged.

    Args:
        model: on the CPU, in eval mode.
        site: its last, where scores are linear in the representation.
        catalogue: its items.
        directions: where latents push to, of any length.
        dataset: its users.

    Raises:
        InvalidInput: no user has a history to measure on.
        NotReady: the library is not installed.
    """
    sample = _sample(model, site, directions, dataset)
    index = build_item_index(catalogue.weights, catalogue.biases, sample)
    logger.info("index built", **asdict(index.report))
    return index


def build_item_index(
    item_weights: Float[Tensor, "n_items d_model"],
    item_biases: Float[Tensor, " n_items"],
    sample: Float[Tensor, "n_queries d_model"],
    wanted_recall: float = 0.99,
    n_lists: int | None = None,
) -> ItemIndex:
    """Make an index that reaches ``wanted_recall`` at ten on ``sample``.

    Args:
        item_weights: one vector per item.
        item_biases: one number per item.
        sample: representations such as will be asked for, the steered ones included.
        wanted_recall: above 0, at most 1. At 1 all lists may be searched, which is exact.
        n_lists: inverted lists. None: about the square root of the number of items.

    Raises:
        InvalidInput: nothing to measure on, or a recall that cannot be.
        NotReady: the library is not installed.
    """
    if not 0 < wanted_recall <= 1:
        raise InvalidInput(
            f"a recall of {wanted_recall} cannot be reached.",
            field="index_recall",
            remedy="give a share above 0, at most 1.",
        )
    if len(sample) == 0:
        raise InvalidInput(
            "there is no representation to measure the index on.",
            field="sample",
            remedy="give those of some users.",
        )
    faiss = index_library()
    began = time.monotonic()
    n_items = len(item_weights)
    vectors = torch.cat([item_weights, item_biases[:, None]], dim=1)
    vectors = vectors.detach().to("cpu", torch.float32).contiguous().numpy()
    lists = n_lists or max(1, 1 << round(math.log2(max(n_items, 1)) / 2))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(vectors.shape[1]),
        vectors.shape[1],
        min(lists, n_items),
        faiss.METRIC_INNER_PRODUCT,
    )
    index.cp.niter = _ITERATIONS
    index.cp.max_points_per_centroid = _TRAINING_POINTS_A_LIST
    # Small catalogues have fewer items a list than it asks for; it would say so on the terminal.
    index.cp.min_points_per_centroid = 1
    index.train(vectors)
    index.add(vectors)

    truth = _best(vectors, sample)
    n_probe, recalls = _fewest_lists(index, sample, truth, wanted_recall)
    index.nprobe = n_probe
    report = IndexReport(
        lists=index.nlist,
        lists_searched=n_probe,
        recall=round(float(recalls.mean()), 4),
        lowest_recall=round(float(np.quantile(recalls, 0.05)), 4),
        queries=len(sample),
        seconds=round(time.monotonic() - began, 2),
        megabytes=(vectors.nbytes + 8 * n_items) >> 20,
    )
    return ItemIndex(index, report, n_items)


def index_library(field: str = "index") -> ModuleType:
    """The library of the index, which is optional.

    Args:
        field: setting that asks for it.

    Raises:
        NotReady: it is not installed; names the field.
    """
    try:
        import faiss  # noqa: PLC0415 - optional
    except ImportError as error:
        raise NotReady(
            "an approximate index needs faiss, which is not installed.",
            field=field,
            remedy="pip install --require-hashes -r locks/index.txt, or score all items.",
        ) from error
    return faiss


def _best(vectors: np.ndarray, sample: Tensor) -> np.ndarray:
    """The best items of each query by exact scores, [n_queries, at most MEASURED_AT]."""
    weights = torch.from_numpy(vectors)
    best: list[Tensor] = []
    for rows in sample.to("cpu", torch.float32).split(_CHUNK):
        scores = rows @ weights[:, :-1].T + weights[:, -1]
        best.append(scores.topk(min(MEASURED_AT, len(vectors)), dim=1).indices)
    return torch.cat(best).numpy()


def _fewest_lists(
    index: Any, sample: Tensor, truth: np.ndarray, wanted: float
) -> tuple[int, np.ndarray]:
    """The fewest lists, of 1, 2, 4 ..., that reach the recall; and the recall of each query."""
    queries = _queries(sample)
    n_probe = 1
    while True:
        n_probe = min(n_probe, index.nlist)
        index.nprobe = n_probe
        _scores, found = index.search(queries, min(_MOST_CANDIDATES_MEASURED, index.ntotal))
        hits = (found[:, :, None] == truth[:, None, :]).any(axis=1).sum(axis=1)
        recalls = hits / truth.shape[1]
        if recalls.mean() >= wanted or n_probe == index.nlist:
            return n_probe, recalls
        n_probe *= 2


def _queries(x: Tensor) -> np.ndarray:
    """Vectors with the coordinate that meets the bias."""
    with_one = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    return with_one.to("cpu", torch.float32).contiguous().numpy()


def _sample(
    model: Recommender,
    site: ProbeSite,
    directions: Float[Tensor, "n_latents d_model"],
    dataset: Dataset,
) -> Float[Tensor, "n_queries d_model"]:
    """Representations of users all over the data set, some pushed as steering pushes."""
    users = [user for user in spread_users(dataset, _SAMPLE_USERS) if len(dataset.history(user))]
    parts = [torch.empty(0, directions.shape[1])]
    for start in range(0, len(users), _CHUNK):
        some = users[start : start + _CHUNK]
        batch = UserBatch.of([dataset.history(user) for user in some], some)
        parts.append(represent(model, site, batch))
    x = torch.cat(parts)
    if not len(directions):
        return x
    rng = np.random.default_rng(0)
    drawn = directions[torch.from_numpy(rng.integers(0, len(directions), len(x)))]
    pushes = torch.tensor(_PUSHES)[torch.arange(len(x)) % len(_PUSHES), None]
    unit = torch.nn.functional.normalize(drawn, dim=1)
    return x + pushes * x.norm(dim=1, keepdim=True) * unit
