"""One training step in dense products, without ever waiting for the device."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reclens.contracts import AutoencoderConfig
from reclens.sae.base import DenseForward, SparseAutoencoder
from reclens.sae.dense import PRODUCTS, top_k_mask
from reclens.sae.losses import auxiliary_loss, fvu
from reclens.sae.optimizer import AveragedSignDescent
from reclens.sae.prediction import PredictionTerm
from reclens.sae.topk import MULTI_TOPK_SHARE

_READ_EVERY = 50
"""Off the CPU."""


class Losses(NamedTuple):
    """What is differentiated, and what it was computed from."""

    loss: Float[Tensor, ""]
    unexplained: Float[Tensor, ""]
    """FVU of the full reconstruction."""
    forward: DenseForward


class DenseStep:
    """Takes steps on the device of ``sae``, whichever that is.

    Dead latents are a mask in place of a list, so AuxK is computed at every step and weighs nothing
    while none is dead: a list would have a length that the host has to wait for.

    Args:
        sae: the autoencoder.
        config: its training.
        optimizer: of its parameters.
        prediction: the prediction-aware term, where there is one.
        silent_for: activations since each latent fired [n_latents]; kept up to date.
        k_auxiliary: dead latents that may take part in AuxK.
        compiled: whether forward, losses and their gradients are compiled as one.
    """

    def __init__(
        self,
        sae: SparseAutoencoder,
        config: AutoencoderConfig,
        optimizer: AveragedSignDescent,
        prediction: PredictionTerm | None,
        silent_for: Int[Tensor, " n_latents"],
        *,
        k_auxiliary: int,
        compiled: bool,
    ) -> None:
        self.read_every = 1 if sae.device.type == "cpu" else _READ_EVERY
        self._sae = sae
        self._config = config
        self._optimizer = optimizer
        self._prediction = prediction
        self._silent_for = silent_for
        self._k_auxiliary = k_auxiliary
        self._multiply = PRODUCTS[config.precision]
        self._differentiated = (
            cast("Any", torch.compile(self.losses, fullgraph=True)) if compiled else self.losses
        )

    def __call__(
        self, x: Float[Tensor, "batch d_model"], step: int, progress: float, learning_rate: float
    ) -> Float[Tensor, " n_metrics"]:
        sae, config = self._sae, self._config
        dead = self._silent_for >= config.dead_after
        losses: Losses = self._differentiated(x, dead, progress < MULTI_TOPK_SHARE)
        loss, forward = losses.loss, losses.forward
        if self._prediction is not None:
            x_hat = forward.reconstructions[-1]
            loss = loss + config.prediction_coefficient * self._prediction(x, x_hat, step)
        loss.backward()
        self._optimizer.step(learning_rate)
        fires = forward.values.detach() > 0
        self._silent_for += len(x)
        self._silent_for.masked_fill_(fires.any(0), 0)
        return torch.stack(
            [
                loss.detach(),
                losses.unexplained.detach(),
                fires.sum() / len(x),
                dead.sum() / sae.n_latents,
            ]
        )

    def losses(
        self, x: Float[Tensor, "batch d_model"], dead: Bool[Tensor, " n_latents"], early: bool
    ) -> Losses:
        """FVU of all levels, what the architecture adds, and AuxK."""
        sae, config = self._sae, self._config
        forward = sae.dense_forward(x, self._multiply, early=early)
        # Normalised activations vary by d_model around zero, by the definition of the scale.
        unexplained = [fvu(x, level, variance=sae.d_model) for level in forward.reconstructions]
        loss = torch.stack(unexplained).mean()
        if forward.penalty is not None:
            loss = loss + forward.penalty
        if config.auxiliary_coefficient:
            loss = loss + config.auxiliary_coefficient * self._auxiliary(x, forward, dead)
        return Losses(loss, unexplained[-1], forward)

    def _auxiliary(
        self, x: Tensor, forward: DenseForward, dead: Bool[Tensor, " n_latents"]
    ) -> Float[Tensor, ""]:
        sae = self._sae
        # The shift by b_dec has no part in reviving: its gradient is the living latents' alone.
        pre = sae.add_biases(forward.products, sae.b_dec.detach())
        ranked = pre.detach().masked_fill(~dead, -torch.inf)
        # Where fewer are dead than may take part, the top k has living ones too.
        taken = top_k_mask(ranked, min(self._k_auxiliary, sae.n_latents)) & dead
        residual_hat = self._multiply(pre * taken, sae.W_dec)
        return auxiliary_loss(
            x,
            forward.reconstructions[-1],
            residual_hat,
            n_dead=dead.sum(),
            k_auxiliary=self._k_auxiliary,
        )
