"""Bayesian personalised ranking: what a user took scores above what the user did not.

Source: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, 2009
(arXiv 1205.2618), section 4.1.
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from reclens.data import Dataset, Split
from reclens.errors import InvalidInput
from reclens.recommenders.base import Recommender


class NegativeSampler:
    """Draws items outside of each user's known positives, for whole arrays of users at once."""

    def __init__(
        self, user_index: npt.NDArray[np.integer], item_index: npt.NDArray[np.integer], n_items: int
    ) -> None:
        self._n_items = n_items
        # One sorted number per known pair: membership of many pairs is one binary search.
        self._known = np.unique(self._keys(user_index, item_index))
        users, counts = np.unique(self._known // n_items, return_counts=True)
        self._saturated = users[counts == n_items]

    def can_sample(self, user_index: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """False for users who know every item, and therefore have no negative."""
        return ~np.isin(user_index, self._saturated)

    def sample(
        self, user_index: npt.NDArray[np.integer], rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """One item per entry of ``user_index``, uniform over those the user does not know.

        Every user must pass ``can_sample``.
        """
        items = rng.integers(self._n_items, size=len(user_index))
        pending = np.arange(len(user_index))
        while len(pending := pending[self._is_known(user_index[pending], items[pending])]):
            items[pending] = rng.integers(self._n_items, size=len(pending))
        return items

    def _keys(
        self, user_index: npt.NDArray[np.integer], item_index: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.int64]:
        return user_index.astype(np.int64) * self._n_items + item_index

    def _is_known(
        self, user_index: npt.NDArray[np.integer], item_index: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.bool_]:
        keys = self._keys(user_index, item_index)
        places = np.searchsorted(self._known, keys)
        return self._known[np.minimum(places, len(self._known) - 1)] == keys


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
