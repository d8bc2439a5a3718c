"""Batch invariance: which histories come out of a shared pass with the bits that each has alone.

That depends on the kernels of this machine, and on the length: products of few or of oddly many
rows are summed in other ways. So it is tried at load, for each length by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.data import Dataset
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, UserBatch

_TRIED_SIZES = (2, 3, 5, 8, 16, 32)
MAX_INVARIANT_BATCH: Final = max(_TRIED_SIZES)
"""Equally long histories in one pass at most: of more nothing is proved."""

_TRIED_USERS = 8
_TRIED_LENGTHS = 16
"""Lengths of histories, the most frequent ones, that are tried."""
_COUNTED_USERS = 1000
"""Users whose histories tell which lengths are frequent."""


def represent(
    model: Recommender, site: ProbeSite, batch: UserBatch
) -> Float[Tensor, "batch d_model"]:
    """What passes ``site``. At the model's own site that is what `Recommender.represent` gives.

    Raises:
        InvalidInput: see `Recommender.represent`.
    """
    if site == model.site:
        model.check(batch)
        return model.represent(batch.recent(model.max_length))
    with site.capture(model) as captured:
        model(batch)
    return captured.tensor


def invariant_lengths(model: Recommender, site: ProbeSite, dataset: Dataset) -> frozenset[int]:
    """Lengths of histories, as the model sees them, whose passes are batch-invariant.

    Only the frequent lengths of ``dataset`` are tried, and the longest. For a model that looks
    known users up, the one length is 1.
    """
    users = spread_users(dataset, _TRIED_USERS)
    histories = [dataset.history(user) for user in users]
    if not all(map(len, histories)):
        return frozenset()
    return frozenset(
        length
        for length in _frequent_lengths(model, dataset)
        if is_batch_invariant(model, site, users, histories, length)
    )


def is_batch_invariant(
    model: Recommender,
    site: ProbeSite,
    users: Sequence[int],
    histories: Sequence[np.ndarray],
    length: int,
) -> bool:
    """Whether histories of one length come out of one pass with the bits that each has alone.

    Args:
        model: in eval mode.
        site: where the representation is read.
        users: rows of some known users.
        histories: theirs, none empty; cut or repeated to the length.
        length: items of each history, as the model sees them.
    """

    def encode(rows: Sequence[int]) -> Tensor:
        cut = [np.resize(histories[row], length) for row in rows]
        batch = UserBatch.of(cut, [users[row] for row in rows])
        return represent(model, site, batch.to(model.device))

    alone = [encode([row]) for row in range(len(users))]
    for size in _TRIED_SIZES:
        rows = [row % len(users) for row in range(size)]
        if not torch.equal(encode(rows), torch.cat([alone[row] for row in rows])):
            return False
    return True


def spread_users(dataset: Dataset, count: int) -> list[int]:
    """Rows of at most ``count`` users, evenly spread over the data set."""
    return np.unique(np.linspace(0, max(0, dataset.n_users - 1), count).astype(int)).tolist()


def _frequent_lengths(model: Recommender, dataset: Dataset) -> list[int]:
    if not model.reads_history:
        return [1]
    counts = Counter(
        min(len(dataset.history(user)), model.max_length or dataset.n_items)
        for user in spread_users(dataset, _COUNTED_USERS)
    )
    frequent = [length for length, _ in counts.most_common(_TRIED_LENGTHS) if length]
    return sorted({*frequent, model.max_length or frequent[0]})
