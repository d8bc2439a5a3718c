"""JumpReLU: every latent has a threshold of its own, learned."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from reclens.contracts.specs.autoencoder import JumpReluConfig
from reclens.sae.architectures.base import Activations, SparseAutoencoder
from reclens.sae.architectures.batchtopk import expected_threshold, training_width
from reclens.sae.architectures.codes import top_k_mask
from reclens.sae.architectures.fused import Candidates, FusedTraining, strongest_latents

_MIN_THRESHOLD = 1e-3
_THRESHOLD_RATE = 10.0
"""Encoder rows soon outgrow or fall below thresholds that move no faster than they do: then L0
stays far from k (seen: 4 in place of 16) and most latents die."""


class JumpReluAutoencoder(SparseAutoencoder, FusedTraining):
    """``z = π · H(π - θ)`` of pre-activations ``π``, with ``θ > 0`` per latent.

    Thresholds have no gradient of their own; a window of ``config.bandwidth`` around each one gives
    them one, for the latents of an activation that are highest above or nearest below theirs, as
    many as a training step takes (4 k). The penalty ``l0_coefficient · (L0 / k - 1)²`` pulls the
    mean number of latents to k.

    Attributes:
        log_threshold: ``log θ`` [n_latents].

    Source: Rajamanoharan et al., Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU
    Sparse Autoencoders, arXiv 2407.14435, equations 9 to 12, with a target for L0 in place of its
    plain weight, so that architectures are compared at one sparsity.
    """

    Config = JumpReluConfig

    config: JumpReluConfig

    def __init__(self, config: JumpReluConfig, d_model: int) -> None:
        super().__init__(config, d_model)
        start = math.log(max(expected_threshold(config), _MIN_THRESHOLD))
        self.log_threshold = nn.Parameter(torch.full((config.n_latents,), start))

    def thresholds(self) -> Float[Tensor, " n_latents"]:
        return self.log_threshold.exp()

    def learning_rate_factor(self, parameter: str) -> float:
        return _THRESHOLD_RATE if parameter == "log_threshold" else 1.0

    def activate(self, pre: Float[Tensor, "batch n_latents"]) -> Activations:
        threshold = self.thresholds()
        chosen = top_k_mask(pre.detach() - threshold.detach(), training_width(self.config))
        values, fires = _JumpRelu.apply(pre, threshold.expand_as(pre), self.config.bandwidth)
        return Activations(values * chosen, self._penalty(fires * chosen))

    def candidates(self, x: Float[Tensor, "batch d_model"], progress: float) -> Candidates:
        del progress
        threshold = self.thresholds().detach()
        width = training_width(self.config)
        indices, margin = strongest_latents(self, x, width, threshold)
        return Candidates(indices, margin + threshold[indices])

    def activate_candidates(
        self, pre: Float[Tensor, "batch width"], indices: Int[Tensor, "batch width"]
    ) -> Activations:
        values, fires = _JumpRelu.apply(pre, self.thresholds()[indices], self.config.bandwidth)
        return Activations(values, self._penalty(fires))

    def _penalty(self, fires: Float[Tensor, "batch width"]) -> Float[Tensor, ""]:
        l0 = fires.sum() / len(fires)
        return self.config.l0_coefficient * (l0 / self.k - 1).square()


class _JumpRelu(torch.autograd.Function):
    """Activations, and 1 where there is one, with gradients for the thresholds near them."""

    @staticmethod
    def forward(
        ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        fires = pre > threshold
        return pre * fires, fires.to(pre)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        pre, threshold = ctx.saved_tensors
        of_values, of_fires = grads
        near = (pre - threshold).abs() < ctx.bandwidth / 2
        by_value = -of_values * threshold * near / ctx.bandwidth
        by_firing = -of_fires * near / ctx.bandwidth
        return of_values * (pre > threshold), by_value + by_firing, None
