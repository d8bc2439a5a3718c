"""One training step in dense products, without ever waiting for the device."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from reclens.sae.architectures.base import DenseForward
from reclens.sae.architectures.dense import PRODUCTS, top_k_mask
from reclens.sae.architectures.losses import auxiliary_loss, fvu
from reclens.sae.architectures.topk import MULTI_TOPK_SHARE
from reclens.sae.training.step import StepParts

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
        parts: what it reads and changes.
        compiled: whether forward, losses and their gradients are compiled as one.
    """

    def __init__(self, parts: StepParts, *, compiled: bool) -> None:
        self.read_every = 1 if parts.sae.device.type == "cpu" else _READ_EVERY
        self._parts = parts
        self._multiply = PRODUCTS[parts.config.precision]
        self._differentiated = (
            cast("Any", torch.compile(self.losses, fullgraph=True)) if compiled else self.losses
        )

    def __call__(
        self, x: Float[Tensor, "batch d_model"], step: int, progress: float, learning_rate: float
    ) -> Float[Tensor, " n_metrics"]:
        sae, config = self._parts.sae, self._parts.config
        silent_for, prediction = self._parts.silent_for, self._parts.prediction
        dead = silent_for >= config.dead_after
        losses: Losses = self._differentiated(x, dead, progress < MULTI_TOPK_SHARE)
        loss, forward = losses.loss, losses.forward
        if prediction is not None:
            x_hat = forward.reconstructions[-1]
            loss = loss + config.prediction_coefficient * prediction(x, x_hat, step)
        loss.backward()
        self._parts.optimizer.step(learning_rate)
        fires = forward.values.detach() > 0
        silent_for += len(x)
        silent_for.masked_fill_(fires.any(0), 0)
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
        sae, config = self._parts.sae, self._parts.config
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
        sae, k_auxiliary = self._parts.sae, self._parts.k_auxiliary
        # The shift by b_dec has no part in reviving: its gradient is the living latents' alone.
        pre = sae.add_biases(forward.products, sae.b_dec.detach())
        ranked = pre.detach().masked_fill(~dead, -torch.inf)
        # Where fewer are dead than may take part, the top k has living ones too.
        taken = top_k_mask(ranked, min(k_auxiliary, sae.n_latents)) & dead
        residual_hat = self._multiply(pre * taken, sae.W_dec)
        return auxiliary_loss(
            x,
            forward.reconstructions[-1],
            residual_hat,
            n_dead=dead.sum(),
            k_auxiliary=k_auxiliary,
        )
