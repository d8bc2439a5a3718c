"""One training step: losses and their gradients, the optimizer, and which latents are dead."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reclens.contracts import AutoencoderConfig
from reclens.errors import InvalidInput
from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.training.optimizer import AveragedSignDescent
from reclens.sae.training.prediction import PredictionTerm

METRICS: tuple[str, ...] = ("loss", "fvu", "l0", "dead_fraction")
"""What a step tells, in this order."""


@dataclass(frozen=True, eq=False)
class Objective:
    """What a step makes small: the losses of an autoencoder, besides those of its architecture."""

    sae: SparseAutoencoder
    """The autoencoder."""
    config: AutoencoderConfig
    """Its training."""
    k_auxiliary: int
    """Dead latents that may take part in AuxK for one activation."""
    prediction: PredictionTerm | None = None
    """The prediction-aware term, where there is one."""


class Differentiated(NamedTuple):
    """What is known of a batch once the gradients are in the ``grad`` of the parameters."""

    metrics: Float[Tensor, 3]
    """Loss, FVU and mean number of latents above zero, on the device."""
    fired: Bool[Tensor, " n_latents"]
    """Latents that were above zero at all."""


class Differentiation(Protocol):
    """Computes the losses of an `Objective` and their gradients."""

    def __call__(
        self,
        x: Float[Tensor, "batch d_model"],
        dead: Bool[Tensor, " n_latents"],
        step: int,
        progress: float,
    ) -> Differentiated:
        """Leave the gradients in the ``grad`` of the parameters.

        Args:
            x: normalised activations.
            dead: latents that AuxK is to revive.
            step: number of the step, from 0; the prediction-aware term draws its items by it.
            progress: share of the training that is done, from 0 to 1.
        """
        ...


class TrainingStep:
    """Takes steps: from a batch to changed parameters.

    Args:
        differentiate: computes losses and gradients.
        optimizer: of the parameters.
        silent_for: activations since each latent fired; kept up to date.
        dead_after: activations after which a latent is dead.
    """

    def __init__(
        self,
        differentiate: Differentiation,
        optimizer: AveragedSignDescent,
        silent_for: Int[Tensor, " n_latents"],
        dead_after: int,
    ) -> None:
        self._differentiate = differentiate
        self._optimizer = optimizer
        self._silent_for = silent_for
        self._dead_after = dead_after

    def __call__(
        self, x: Float[Tensor, "batch d_model"], step: int, progress: float, learning_rate: float
    ) -> Float[Tensor, " n_metrics"]:
        """Take one step; returns `METRICS`, on the device. Arguments as of `Differentiation`."""
        dead = self._silent_for >= self._dead_after
        metrics, fired = self._differentiate(x, dead, step, progress)
        self._optimizer.step(learning_rate)
        self._silent_for += len(x)
        self._silent_for.masked_fill_(fired, 0)
        dead_fraction = dead.sum(dtype=metrics.dtype) / len(dead)
        return torch.cat([metrics, dead_fraction[None]])


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
