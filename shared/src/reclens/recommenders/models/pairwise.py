"""Bayesian personalised ranking: what a user took scores above what the user did not.

Source: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, 2009
(arXiv 1205.2618), section 4.1.
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from reclens.data import Dataset, Split
from reclens.errors import InvalidInput
from reclens.recommenders.base import Recommender
from reclens.recommenders.models.negatives import NegativeSampler


class PairwiseModel(Protocol):
    """A model with one vector per user and one per item, whose inner product is the score."""

    def vectors(
        self,
    ) -> tuple[Float[Tensor, "n_users d_model"], Float[Tensor, "n_items d_model"]]:
        """Vectors of all users and of all items."""
        ...


class PairwiseObjective:
    """Rank an item of train above one that the user did not take there.

    Raises:
        InvalidInput: every user of train took everything.
    """

    def __init__(self, dataset: Dataset) -> None:
        seen = dataset.interactions
        train = seen.split == Split.TRAIN
        users = seen.user_index[train].astype(np.int64)
        items = seen.item_index[train].astype(np.int64)
        self._sampler = NegativeSampler(users, items, dataset.n_items)
        usable = self._sampler.can_sample(users)
        self._users, self._items = users[usable], items[usable]
        if len(self._users) == 0:
            raise InvalidInput(
                "no user of train leaves an item out, so there is nothing to rank below another.",
                field="dataset",
                remedy="import data with more items than any user has seen.",
            )

    def epoch(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """User, item taken and item not taken, [n] each."""
        order = rng.permutation(len(self._users))
        users = self._users[order]
        return users, self._items[order], self._sampler.sample(users, rng)

    def loss(self, model: Recommender, *examples: Tensor) -> Tensor:
        """``-log sigmoid(score of taken - score of not taken)``, averaged over pairs."""
        users, taken, left = examples
        user_vectors, item_vectors = cast("PairwiseModel", model).vectors()
        margin = functional.embedding(taken, item_vectors) - functional.embedding(
            left, item_vectors
        )
        return -functional.logsigmoid((user_vectors[users] * margin).sum(dim=1)).mean()
