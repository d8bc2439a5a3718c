"""What a training step is given, and what its losses and their gradients come to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.architectures.losses import PredictionTerm


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
