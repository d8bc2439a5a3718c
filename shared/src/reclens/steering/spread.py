"""How far a vector spreads the scores of the items: the unit in which a push is felt."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_BLOCK = 65_536


def item_moments(
    item_weights: Float[Tensor, "n_items d_model"],
) -> tuple[Float[Tensor, " d_model"], Float[Tensor, "d_model d_model"]]:
    """Mean and covariance of the item vectors, in float64.

    ``mu = mean_i w_i`` and ``C = mean_i (w_i - mu)(w_i - mu)'``; divided by n_items, as it is the
    whole catalogue and no sample.
    """
    mean = item_weights.mean(dim=0, dtype=torch.float64)
    total = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=item_weights.device)
    # In blocks: a float64 copy of a million items would not be small.
    for block in item_weights.split(_BLOCK):
        centred = block.double() - mean
        total += centred.T @ centred
    return mean, total / len(item_weights)


class ScoreSpread:
    """Standard deviation, over all items, of the scores that a vector gives them.

    ``spread(v) = std_i(w_i . v) = sqrt(v' C v) = |R v|`` with ``R' R = C``, so that it costs
    d_model^2 a vector, however many items there are. Of a representation it is the spread of the
    user's own scores, of a push the spread of what the push adds to them; the items' biases are
    left out of both.

    Args:
        item_weights: vectors w_i of the items.
    """

    def __init__(self, item_weights: Float[Tensor, "n_items d_model"]) -> None:
        _, covariance = item_moments(item_weights)
        values, vectors = torch.linalg.eigh(covariance)
        self.factor = vectors * values.clamp(min=0).sqrt()
        """R' [d_model, d_model], float64: the spread of a row v is the norm of ``v @ factor``."""

    def of(self, vectors: Float[Tensor, "n d_model"]) -> Float[Tensor, " n"]:
        """The spread of each vector, in float64."""
        return (vectors.double() @ self.factor).norm(dim=1)
