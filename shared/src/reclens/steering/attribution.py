"""Splits each item's score into what every latent adds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from reclens.steering.engine import Dictionary


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
    sae: Dictionary,
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
