"""What an autoencoder is trained to make small."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def fvu(
    x: Float[Tensor, "batch d_model"],
    x_hat: Float[Tensor, "batch d_model"],
    *,
    variance: float | None = None,
) -> Float[Tensor, ""]:
    """Fraction of variance unexplained: ``Σ‖x - x̂‖² / Σ‖x - mean(x)‖²``.

    Args:
        x: activations.
        x_hat: their reconstructions.
        variance: mean of ``‖x - mean‖²`` over the whole data. Given, it replaces the batch's own,
            which for a small batch says more about the batch than about the reconstruction.

    Source: arXiv 2411.06112, equation of the reconstruction loss.
    """
    error = (x - x_hat).square().sum()
    if variance is not None:
        return error / (variance * len(x))
    return error / (x - x.mean(0)).square().sum()


def auxiliary_loss(
    x: Float[Tensor, "batch d_model"],
    x_hat: Float[Tensor, "batch d_model"],
    residual_hat: Float[Tensor, "batch d_model"],
    *,
    n_dead: int | Tensor,
    k_auxiliary: int,
) -> Float[Tensor, ""]:
    """AuxK: how badly dead latents explain what the living ones leave over.

    ``min(n_dead / k_aux, 1) · Σ‖e - ê‖² / Σ‖e - mean(e)‖²`` with the residual
    ``e = stopgrad(x - x̂)``.

    Args:
        x: activations.
        x_hat: reconstructions by the living latents. No gradient flows into them.
        residual_hat: ``ê``, the decoded pre-activations of the ``k_aux`` strongest dead latents,
            before ReLU (after it a dead latent has no gradient) and without ``b_dec`` (which
            ``x̂`` has spent already).
        n_dead: dead latents at this step; as a tensor, where it is not to be waited for.
        k_auxiliary: dead latents that may take part.

    Source: arXiv 2406.04093, appendix A.2.
    """
    residual = (x - x_hat).detach()
    total = (residual - residual.mean(0)).square().sum()
    error = (residual - residual_hat).square().sum()
    share = n_dead / k_auxiliary
    weight = share.clamp(max=1.0) if isinstance(share, Tensor) else min(share, 1.0)
    # A single row has no variance, and nothing can be learned from it: over infinity, both the
    # loss and its gradient are zero.
    return weight * error / total.where(total > 0, torch.inf)


class Scorer(NamedTuple):
    """A recommender's frozen prediction layer: ``scores = x @ weights.T + biases``."""

    weights: Float[Tensor, "n_items d_model"]
    """One vector per item."""
    biases: Float[Tensor, " n_items"]
    """One number per item."""


class PredictionTerm:
    """A reconstruction must rank items as the activation does.

    The term is ``KL(softmax(scores of x) ‖ softmax(scores of x̂))``, averaged over a batch, in
    nats.

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
