"""Chooses the ranker of a model: the fastest that gives its own bits on this machine.

Kernels differ by machine and library, so what they do is tried on some users, not assumed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import structlog
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.data import Dataset
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch
from reclens_recommender.serving.ranking.approximate import ApproximateRanker, index_of_release
from reclens_recommender.serving.ranking.catalogue import GROUP, Catalogue
from reclens_recommender.serving.ranking.exact import (
    FilteredRanker,
    ForwardPassRanker,
    ProductRanker,
)
from reclens_recommender.serving.ranking.ranker import Ranker
from reclens_recommender.serving.representations import represent, spread_users

logger = structlog.get_logger(__name__)

_SMALL_CATALOGUE = 8192
"""Items up to which a product of one vector costs less than to filter and to compute again, and up
to which sorted scores are kept with a representation: 64 KB at most."""
_TRIED_USERS = 4
_TRIED_GROUPS = (1, 2, 5, 16, 100)


def choose_ranker(
    model: Recommender,
    site: ProbeSite,
    catalogue: Catalogue,
    dataset: Dataset,
    *,
    together: bool = False,
    directions: Float[Tensor, "n_latents d_model"] | None = None,
    threads: int = 1,
) -> Ranker:
    """The ranker that ``model`` is served with.

    Args:
        model: in eval mode.
        site: where edits are written.
        catalogue: its items.
        dataset: its users.
        together: see `ForwardPassRanker`.
        directions: where latents push to, of any length, to measure an approximate index on. None:
            all items are scored.
        threads: threads that share the searches of an approximate index.

    Raises:
        InvalidInput: no user has a history to measure an approximate index on.
        NotReady: the library of the approximate index is not installed.
    """
    ranker = _exact_ranker(model, site, catalogue, dataset, together)
    if not isinstance(ranker, FilteredRanker):
        name = type(ranker).__name__
        if model.device.type == "cpu":
            logger.info("scores are computed one request at a time", ranker=name)
        if directions is not None:
            logger.warning("no index is built, all items are scored", ranker=name)
        return ranker
    if directions is not None:
        index = index_of_release(model, site, catalogue, directions, dataset)
        return ApproximateRanker(index, catalogue, ranker, threads)
    return ProductRanker(catalogue) if catalogue.n_items <= _SMALL_CATALOGUE else ranker


def keeps_scores(ranker: Ranker, catalogue: Catalogue) -> bool:
    """Whether ``ranker`` makes use of sorted scores that are kept with representations."""
    return isinstance(ranker, ProductRanker) and catalogue.n_items <= _SMALL_CATALOGUE


def _exact_ranker(
    model: Recommender, site: ProbeSite, catalogue: Catalogue, dataset: Dataset, together: bool
) -> Ranker:
    """The fastest exact ranker, as far as some users show, whatever the size of the catalogue."""
    passes = ForwardPassRanker(model, site, together=together)
    if site != model.site:
        # Scores are not linear in what is written there.
        return passes
    rng = np.random.default_rng(0)
    n_groups = -(-catalogue.n_items // GROUP)
    filtered = model.device.type == "cpu"
    for user in spread_users(dataset, _TRIED_USERS):
        batch = UserBatch.of([dataset.history(user)], [user]).to(model.device)
        own = model(batch)[0]
        x = represent(model, site, batch)[0]
        if not torch.equal(catalogue.scores(x), own):
            return passes
        drawn = [np.arange(n_groups), *(rng.choice(n_groups, n) for n in _TRIED_GROUPS)]
        filtered = filtered and all(
            _same_bits(catalogue, x, groups, own.numpy()) for groups in drawn
        )
    return FilteredRanker(catalogue) if filtered else ProductRanker(catalogue)


def _same_bits(
    catalogue: Catalogue,
    x: Tensor,
    groups: npt.NDArray[np.int64],
    own: npt.NDArray[np.float32],
) -> bool:
    items = groups[:, None] * GROUP + np.arange(GROUP)
    known = items < catalogue.n_items
    return catalogue.exact([x], 0 * groups, groups)[known].tobytes() == own[items[known]].tobytes()
