"""Makes the approximate index of a release, measured on its own users."""

from __future__ import annotations

import numpy as np
import structlog
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.data import Dataset
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch
from reclens_recommender.serving.ranking.approximate import ItemIndex, build_item_index
from reclens_recommender.serving.ranking.scoring import Catalogue
from reclens_recommender.serving.representations import represent

logger = structlog.get_logger(__name__)

_SAMPLE_USERS = 256
_BATCH = 64
_PUSHES = (0.0, 0.2, 0.4, 0.8)
"""Parts of their norm by which users of the sample are pushed along a latent, in turn."""


def index_of_release(
    model: Recommender,
    site: ProbeSite,
    catalogue: Catalogue,
    directions: Float[Tensor, "n_latents d_model"],
    dataset: Dataset,
    *,
    threads: int = 1,
) -> ItemIndex:
    """An index of ``catalogue``; what it turned out to be is logged.

    Args:
        model: on the CPU, in eval mode.
        site: its last, where scores are linear in the representation.
        catalogue: its items.
        directions: where latents push to, of any length.
        dataset: its users.
        threads: threads that share the searches of a batch.

    Raises:
        InvalidInput: no user has a history to measure on.
        NotReady: the library is not installed.
    """
    sample = _sample(model, site, directions, dataset)
    index = build_item_index(catalogue.weights, catalogue.biases, sample, threads=threads)
    report = index.report
    logger.info(
        "index built",
        recall=round(report.recall, 4),
        lowest_recall=round(report.lowest_recall, 4),
        lists=report.n_lists,
        lists_searched=report.n_probe,
        queries=report.n_queries,
        seconds=round(report.build_seconds, 2),
        megabytes=report.n_bytes >> 20,
    )
    return index


def _sample(
    model: Recommender,
    site: ProbeSite,
    directions: Float[Tensor, "n_latents d_model"],
    dataset: Dataset,
) -> Float[Tensor, "n_queries d_model"]:
    """Representations of users all over the data set, some pushed as steering pushes."""
    spread = np.linspace(0, max(0, dataset.n_users - 1), _SAMPLE_USERS).astype(int)
    users = [user for user in np.unique(spread).tolist() if len(dataset.history(user))]
    parts = [torch.empty(0, directions.shape[1])]
    for start in range(0, len(users), _BATCH):
        some = users[start : start + _BATCH]
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
