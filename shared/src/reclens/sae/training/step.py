"""What a training step is, whoever computes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from reclens.contracts import AutoencoderConfig
from reclens.errors import InvalidInput
from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.training.optimizer import AveragedSignDescent
from reclens.sae.training.prediction import PredictionTerm

METRICS: tuple[str, ...] = ("loss", "fvu", "l0", "dead_fraction")
"""What a step tells, in this order."""


@dataclass(frozen=True, eq=False)
class StepParts:
    """What a step reads and changes."""

    sae: SparseAutoencoder
    """The autoencoder."""
    config: AutoencoderConfig
    """Its training."""
    optimizer: AveragedSignDescent
    """Of its parameters."""
    silent_for: Int[Tensor, " n_latents"]
    """Activations since each latent fired; kept up to date."""
    k_auxiliary: int
    """Dead latents that may take part in AuxK for one activation."""
    prediction: PredictionTerm | None = None
    """The prediction-aware term, where there is one."""


class TrainingStep(Protocol):
    """Takes steps: from a batch to changed parameters."""

    read_every: int
    """Steps whose figures are read together: on an accelerator, reading waits until it has caught
    up."""

    def __call__(
        self, x: Float[Tensor, "batch d_model"], step: int, progress: float, learning_rate: float
    ) -> Float[Tensor, " n_metrics"]:
        """Take one step; returns `METRICS`, on the device.

        Args:
            x: normalised activations.
            step: number of the step, from 0; the prediction-aware term draws its items by it.
            progress: share of the training that is done, from 0 to 1.
            learning_rate: step size.
        """
        ...


def read_metrics(rows: list[Tensor], last_step: int, rate: float) -> list[dict[str, float]]:
    """Figures of the steps up to ``last_step``; waits for the device once.

    Raises:
        InvalidInput: a loss is not finite, so the training has diverged.
    """
    if not rows:
        return []
    read = [dict(zip(METRICS, row, strict=True)) for row in torch.stack(rows).tolist()]
    for step, metrics in enumerate(read, last_step - len(read) + 1):
        if not math.isfinite(metrics["loss"]):
            raise InvalidInput(
                f"training diverged at step {step}: the loss is {metrics['loss']}.",
                field="learning_rate",
                remedy=f"set it below {rate:.2g}.",
            )
    return read
