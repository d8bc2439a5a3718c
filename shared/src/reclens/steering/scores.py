"""What vectors and latents do to items' scores: how far they spread them, what each adds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from reclens.steering.encoding import SteerableAutoencoder

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


@dataclass(frozen=True)
class Attribution:
    """Parts of the scores of some items, in float64; column sums give the scores."""

    contributions: Float[Tensor, "n_listed n_items"]
    """What latent j adds to item i: ``z_j * scale * (W_dec[j] . w_i)``."""
    unexplained: Float[Tensor, " n_items"]
    """What the dictionary's offset and its reconstruction error add."""
    biases: Float[Tensor, " n_items"]
    """The recommender's item biases."""


def attribute(
    scores: Float[Tensor, " n_items"],
    latents: Int[Tensor, " n_listed"],
    activations: Float[Tensor, " n_listed"],
    *,
    sae: SteerableAutoencoder,
    item_weights: Float[Tensor, "n_items d_model"],
    item_biases: Float[Tensor, " n_items"],
) -> Attribution:
    """Split ``scores`` of one case; contributions + unexplained + biases = scores.

    Args:
        scores: the recommender's own scores of the items.
        latents: all latents with an activation other than 0.
        activations: their activations, edited where edits were made.
        sae: dictionary at the recommender's last site, where a score is ``x . w_i + b_i``.
        item_weights: rows w_i of the items.
        item_biases: biases b_i of the items.
    """
    directions = sae.input_scale.double() * sae.W_dec[latents].double()
    contributions = activations.double()[:, None] * (directions @ item_weights.double().T)
    biases = item_biases.double()
    # Summed in float64, so that what is left over is not rounding.
    unexplained = scores.double() - biases - torch.sum(contributions, dim=0)
    return Attribution(contributions, unexplained, biases)
