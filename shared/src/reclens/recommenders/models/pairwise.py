"""Models with one vector per user and one per item, ranked in pairs.

Bayesian personalised ranking trains them: what a user took scores above what the user did not.
Users whom a model did not learn are folded in, from their histories and its item vectors.

Source: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, 2009
(arXiv 1205.2618), section 4.1.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from reclens.contracts.specs.recommender import PairwiseConfig
from reclens.data import Dataset, Split
from reclens.errors import InvalidInput
from reclens.probing import ProbeSite
from reclens.recommenders.base import NO_ITEM, UNKNOWN_USER, Recommender, UserBatch

Integers = npt.NDArray[np.integer]
"""Indices of any width."""

# The prior weighs as much as so many items of history; what it gives is in
# docs/how-to/extend/recommender.md.
_PRIOR_ITEMS = 10.0


class PairwiseRecommender(Recommender):
    """Scores by the inner product of a user vector and the item vectors.

    A subclass draws the two embedding tables; one that computes its vectors from them replaces
    `vectors`.
    """

    site: ClassVar[ProbeSite] = ProbeSite("user", position="row")
    reads_history: ClassVar[bool] = False

    def __init__(self, config: PairwiseConfig, n_users: int, n_items: int) -> None:
        super().__init__(config, n_users, n_items)
        self.user_embedding = nn.Embedding(n_users, config.d_model)
        self.item_embedding = nn.Embedding(n_items, config.d_model)
        self.user = UserVector()

    @classmethod
    def objective(cls, config: PairwiseConfig, dataset: Dataset) -> PairwiseObjective:
        return PairwiseObjective(dataset)

    def vectors(self) -> tuple[Float[Tensor, "users d_model"], Float[Tensor, "items d_model"]]:
        """Vectors of all users and of all items."""
        return self.user_embedding.weight, self.item_embedding.weight

    def item_weights(self) -> Float[Tensor, "n_items d_model"]:
        return self.vectors()[1]

    def represent(self, batch: UserBatch) -> Float[Tensor, "batch d_model"]:
        return self.user(*self.vectors(), batch.user_index, batch.history)


class UserVector(nn.Module):
    """The vector of each user: learned where the user is known, else folded in from the history.

    A module of its own, so that the vector is an output that can be probed.
    """

    def forward(
        self,
        learned: Float[Tensor, "n_users d_model"],
        item_weights: Float[Tensor, "n_items d_model"],
        user_index: Int[Tensor, " batch"],
        history: Int[Tensor, "batch length"],
    ) -> Float[Tensor, "batch d_model"]:
        """Rows of ``learned``; -1 in ``user_index`` asks for the history instead.

        A folded vector points where the regression points and has the median length of the
        learned ones: a ranking does not depend on that length, but what is probed here does.

        Raises:
            InvalidInput: an unknown user has an empty history.
        """
        x = learned[user_index.clamp(min=0)]
        unknown = user_index == UNKNOWN_USER
        if not bool(unknown.any()):
            return x
        folded = fold_in(history[unknown], item_weights)
        usual = learned.norm(dim=1).median()
        return x.index_put((unknown,), functional.normalize(folded, dim=1) * usual)


def fold_in(
    history: Int[Tensor, "batch length"], item_weights: Float[Tensor, "n_items d_model"]
) -> Float[Tensor, "batch d_model"]:
    """User vectors by ridge regression on fixed item vectors, in closed form.

    The minimiser of ``sum over the history of (1 - x.e_i)^2 + prior * |x|^2``, the prior being a
    multiple of the items' mean squared length.

    Raises:
        InvalidInput: a history is empty.

    Source: the user step of Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback
    Datasets, 2008, equation 4, with confidence 1 within the history and 0 elsewhere.
    """
    present = history != NO_ITEM
    if history.shape[1] == 0 or not bool(present.any(dim=1).all()):
        raise InvalidInput(
            "an unknown user without a history cannot be represented.",
            field="history",
            remedy="give at least one item that the user interacted with, or a known user.",
        )
    taken = item_weights[history.clamp(min=0)] * present[..., None]
    prior = _PRIOR_ITEMS * item_weights.square().sum(dim=1).mean()
    identity = torch.eye(item_weights.shape[1], device=item_weights.device)
    return torch.linalg.solve(taken.mT @ taken + prior * identity, taken.sum(dim=1))


class NegativeSampler:
    """Draws items outside of each user's known positives, for whole arrays of users at once."""

    def __init__(self, user_index: Integers, item_index: Integers, n_items: int) -> None:
        self._n_items = n_items
        # One sorted number per known pair: membership of many pairs is one binary search.
        self._known = np.unique(self._keys(user_index, item_index))
        users, counts = np.unique(self._known // n_items, return_counts=True)
        self._saturated = users[counts == n_items]

    def can_sample(self, user_index: Integers) -> npt.NDArray[np.bool_]:
        """False for users who know every item, and therefore have no negative."""
        return ~np.isin(user_index, self._saturated)

    def sample(self, user_index: Integers, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """One item per entry of ``user_index``, uniform over those the user does not know.

        Every user must pass ``can_sample``.
        """
        items = rng.integers(self._n_items, size=len(user_index))
        pending = np.arange(len(user_index))
        while len(pending := pending[self._is_known(user_index[pending], items[pending])]):
            items[pending] = rng.integers(self._n_items, size=len(pending))
        return items

    def _keys(self, user_index: Integers, item_index: Integers) -> npt.NDArray[np.int64]:
        return user_index.astype(np.int64) * self._n_items + item_index

    def _is_known(self, user_index: Integers, item_index: Integers) -> npt.NDArray[np.bool_]:
        keys = self._keys(user_index, item_index)
        places = np.searchsorted(self._known, keys)
        return self._known[np.minimum(places, len(self._known) - 1)] == keys


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
        assert isinstance(model, PairwiseRecommender)
        user_vectors, item_vectors = model.vectors()
        margin = functional.embedding(taken, item_vectors) - functional.embedding(
            left, item_vectors
        )
        return -functional.logsigmoid((user_vectors[users] * margin).sum(dim=1)).mean()
