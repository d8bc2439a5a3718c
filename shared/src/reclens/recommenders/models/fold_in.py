"""Vectors of users whom a model did not learn, from their histories and its item vectors."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from reclens.errors import InvalidInput
from reclens.recommenders.base import NO_ITEM, UNKNOWN_USER

# The prior weighs as much as so many items of history; what it gives is in
# docs/how-to/extend/recommender.md.
_PRIOR_ITEMS = 10.0


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
