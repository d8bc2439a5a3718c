"""Losses and gradients of a step: what computes them is given and gives, and plain PyTorch's way.

That is in dense products, without waiting for the device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from reclens.sae.architectures.base import Product, SparseAutoencoder, TrainingPass
from reclens.sae.architectures.codes import top_k_mask
from reclens.sae.architectures.losses import PredictionTerm, auxiliary_loss, fvu
from reclens.sae.architectures.topk import MULTI_TOPK_SHARE


class TrainingBatch(NamedTuple):
    """What a step is made with."""

    x: Float[Tensor, "batch d_model"]
    """Normalised activations."""
    dead: Bool[Tensor, " n_latents"]
    """Latents that AuxK is to revive."""
    step: int
    """Number of the step, from 0; the prediction-aware term draws its items by it."""
    progress: float
    """Share of the training that is done, from 0 to 1."""


class BatchGradients(NamedTuple):
    """What is known of a batch once the gradients are in the ``grad`` of the parameters."""

    metrics: Float[Tensor, 3]
    """Loss, FVU and mean number of latents above zero, on the device."""
    fired: Bool[Tensor, " n_latents"]
    """Latents that were above zero at all."""


class Differentiation(ABC):
    """Computes the losses of an autoencoder and their gradients.

    Args:
        sae: the autoencoder, whose configuration says what its losses weigh.
        prediction: the prediction-aware term, where there is one.
    """

    def __init__(self, sae: SparseAutoencoder, prediction: PredictionTerm | None = None) -> None:
        self._sae = sae
        self._prediction = prediction
        self._k_auxiliary = sae.config.k_auxiliary or max(1, sae.d_model // 2)

    @abstractmethod
    def __call__(self, batch: TrainingBatch) -> BatchGradients:
        """Leave the gradients in the ``grad`` of the parameters."""


# --- plain PyTorch ------------------------------------------------------------------------------


def multiply_float32(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` as it is."""
    return a @ b


def multiply_bfloat16(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` of numbers with 8 significant bits; so are the products of its gradient.

    Casts are written out instead of left to autocast, which also decides what else is cast.
    """
    return (a.bfloat16() @ b.bfloat16()).float()


PRODUCTS: dict[str, Product] = {"float32": multiply_float32, "bfloat16": multiply_bfloat16}
"""By the ``precision`` of the configuration."""


class Losses(NamedTuple):
    """What is differentiated, and what it was computed from."""

    loss: Float[Tensor, ""]
    unexplained: Float[Tensor, ""]
    """FVU of the autoencoder's own reconstruction."""
    passed: TrainingPass


class DenseDifferentiation(Differentiation):
    """Differentiates any architecture on the device of its weights, whichever that is.

    Dead latents are a mask in place of a list, so AuxK is computed at every step and weighs nothing
    while none is dead: a list would have a length that the host has to wait for.

    Args:
        sae: the autoencoder.
        prediction: the prediction-aware term, where there is one.
        compiled: whether forward, losses and their gradients are compiled as one.
    """

    def __init__(
        self,
        sae: SparseAutoencoder,
        prediction: PredictionTerm | None = None,
        *,
        compiled: bool = False,
    ) -> None:
        super().__init__(sae, prediction)
        self._multiply = PRODUCTS[sae.config.precision]
        self._losses = (
            cast("Any", torch.compile(self.losses, fullgraph=True)) if compiled else self.losses
        )

    def __call__(self, batch: TrainingBatch) -> BatchGradients:
        x, dead, step, progress = batch
        loss, unexplained, passed = self._losses(x, dead, progress < MULTI_TOPK_SHARE)
        if self._prediction is not None:
            term = self._prediction(x, passed.reconstructions[passed.main], step)
            loss = loss + self._sae.config.prediction_coefficient * term
        loss.backward()
        fires = passed.values.detach() > 0
        metrics = torch.stack([loss.detach(), unexplained.detach(), fires.sum() / len(x)])
        return BatchGradients(metrics, fires.any(0))

    def losses(
        self, x: Float[Tensor, "batch d_model"], dead: Bool[Tensor, " n_latents"], early: bool
    ) -> Losses:
        """FVU of all levels, what the architecture adds, and AuxK."""
        sae, coefficient = self._sae, self._sae.config.auxiliary_coefficient
        passed = sae.training_pass(x, self._multiply, early=early)
        # Normalised activations vary by d_model around zero, by the definition of the scale.
        unexplained = [fvu(x, level, variance=sae.d_model) for level in passed.reconstructions]
        loss = torch.stack(
            [weight * one for weight, one in zip(passed.weights, unexplained, strict=True)]
        ).sum()
        if passed.penalty is not None:
            loss = loss + passed.penalty
        if coefficient:
            loss = loss + coefficient * self._auxiliary(x, passed, dead)
        return Losses(loss, unexplained[passed.main], passed)

    def _auxiliary(
        self, x: Tensor, passed: TrainingPass, dead: Bool[Tensor, " n_latents"]
    ) -> Float[Tensor, ""]:
        sae, k = self._sae, self._k_auxiliary
        # The shift by b_dec has no part in reviving: its gradient is the living latents' alone.
        pre = sae.add_biases(passed.products, sae.b_dec.detach())
        ranked = pre.detach().masked_fill(~dead, -torch.inf)
        # Where fewer are dead than may take part, the top k has living ones too.
        taken = top_k_mask(ranked, min(k, sae.n_latents)) & dead
        residual_hat = self._multiply(pre * taken, sae.W_dec)
        x_hat = passed.reconstructions[passed.main]
        return auxiliary_loss(x, x_hat, residual_hat, n_dead=dead.sum(), k_auxiliary=k)
