"""An approximate index of the item vectors, for catalogues too large to score whole.

Items are in inverted lists by k-means; a query looks into the lists whose centres it likes best.
The bias is one more coordinate, which every query meets with 1. What comes back are candidates: the
caller scores them exactly, so that an answer's scores are the recommender's own and only an item
that no searched list holds can be missing. How many lists are searched is decided when the index is
made: the fewest that reach a wanted recall on representations of the release's own users, pushed as
steering pushes them.

Figures behind the choice of library and method: benchmarks/results/item_index.json.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog
import torch
from jaxtyping import Float, Int
from torch import Tensor

from reclens.data import Dataset
from reclens.errors import InvalidInput, NotReady
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch
from reclens_recommender.serving.ranking.catalogue import Catalogue
from reclens_recommender.serving.representations.batch_invariance import represent, spread_users

if TYPE_CHECKING:
    from types import ModuleType

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


def require_index_library(field: str) -> None:
    """Fail now rather than when the first index is made.

    Args:
        field: setting that asks for it.

    Raises:
        NotReady: the library is not installed; names the field.
    """
    _library(field)


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
    faiss = _library()
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


def _library(field: str = "index") -> ModuleType:
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
