"""The prediction-aware term: a reconstruction must rank items as the activation does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


class Scorer(NamedTuple):
    """A recommender's frozen prediction layer: ``scores = x @ weights.T + biases``."""

    weights: Float[Tensor, "n_items d_model"]
    """One vector per item."""
    biases: Float[Tensor, " n_items"]
    """One number per item."""


class PredictionTerm:
    """``KL(softmax(scores of x) ‖ softmax(scores of x̂))``, averaged over a batch, in nats.

    Args:
        scorer: the prediction layer.
        mean, scale: what normalised activations are multiplied by and shifted to.
        n_items: items drawn for a step; None: all.
        seed: of the drawing, together with the step.
    """

    def __init__(
        self, scorer: Scorer, mean: Tensor, scale: Tensor, *, n_items: int | None, seed: int
    ) -> None:
        weights = scorer.weights.detach().to(mean)
        self._weights = weights * scale
        self._biases = scorer.biases.detach().to(mean) + weights @ mean
        self._n_items = n_items
        self._seed = seed

    def __call__(
        self,
        x: Float[Tensor, "batch d_model"],
        x_hat: Float[Tensor, "batch d_model"],
        step: int,
    ) -> Float[Tensor, ""]:
        """The term for normalised activations and their normalised reconstructions."""
        weights, biases = self._weights, self._biases
        if self._n_items is not None and self._n_items < len(biases):
            rng = np.random.default_rng([self._seed, step])
            drawn = torch.from_numpy(rng.choice(len(biases), self._n_items, replace=False))
            drawn = drawn.to(weights.device)
            weights, biases = weights[drawn], biases[drawn]
        with torch.no_grad():
            target = functional.log_softmax(torch.addmm(biases, x, weights.T), dim=1)
        answer = functional.log_softmax(torch.addmm(biases, x_hat, weights.T), dim=1)
        return functional.kl_div(answer, target, reduction="batchmean", log_target=True)
