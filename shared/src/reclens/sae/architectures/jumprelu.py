"""JumpReLU: every latent has a threshold of its own, learned."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from reclens.contracts import AutoencoderConfig
from reclens.sae.architectures.base import Chosen, SparseAutoencoder, Strongest, codes_above
from reclens.sae.architectures.batchtopk import expected_threshold, training_width
from reclens.sae.architectures.codes import Codes
from reclens.sae.architectures.dense import top_k_mask

_MIN_THRESHOLD = 1e-3
_THRESHOLD_RATE = 10.0
"""Encoder rows soon outgrow or fall below thresholds that move no faster than they do: then L0
stays far from k (seen: 4 in place of 16) and most latents die."""


class JumpReluAutoencoder(SparseAutoencoder):
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

    def __init__(self, config: AutoencoderConfig, d_model: int) -> None:
        super().__init__(config, d_model)
        start = math.log(max(expected_threshold(config), _MIN_THRESHOLD))
        self.log_threshold = nn.Parameter(torch.full((config.n_latents,), start))

    def learning_rate_factor(self, parameter: str) -> float:
        return _THRESHOLD_RATE if parameter == "log_threshold" else 1.0

    def select(self, pre: Float[Tensor, "batch n_latents"]) -> Codes:
        return codes_above(pre, self.log_threshold.exp())

    def choose(self, strongest: Strongest, progress: float) -> Chosen:
        del progress
        threshold = self.log_threshold.detach().exp()
        indices, margin = strongest(training_width(self.config), threshold)
        return Chosen(indices, margin + threshold[indices])

    def activate(
        self, pre: Float[Tensor, "batch width"], indices: Int[Tensor, "batch width"]
    ) -> tuple[Float[Tensor, "batch width"], Float[Tensor, ""]]:
        threshold = self.log_threshold.exp()[indices]
        values = _JumpRelu.apply(pre, threshold, self.config.bandwidth)
        return values, self._penalty(_Step.apply(pre, threshold, self.config.bandwidth))

    def _penalty(self, fires: Float[Tensor, "batch width"]) -> Float[Tensor, ""]:
        l0 = fires.sum() / len(fires)
        return self.config.l0_coefficient * (l0 / self.k - 1).square()

    def may_fire(self, pre: Float[Tensor, "batch n_latents"]) -> Bool[Tensor, "batch n_latents"]:
        return top_k_mask(pre - self.log_threshold.detach().exp(), training_width(self.config))

    def activate_densely(
        self, pre: Float[Tensor, "batch n_latents"], chosen: Bool[Tensor, "batch n_latents"]
    ) -> tuple[Float[Tensor, "batch n_latents"], Float[Tensor, ""]]:
        threshold, bandwidth = self.log_threshold.exp().expand_as(pre), self.config.bandwidth
        values = _JumpRelu.apply(pre, threshold, bandwidth) * chosen
        return values, self._penalty(_Step.apply(pre, threshold, bandwidth) * chosen)


class _JumpRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return pre * (pre > threshold)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        pre, threshold = ctx.saved_tensors
        near = (pre - threshold).abs() < ctx.bandwidth / 2
        return (
            grads[0] * (pre > threshold),
            -grads[0] * threshold * near / ctx.bandwidth,
            None,
        )


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return (pre > threshold).to(pre)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        pre, threshold = ctx.saved_tensors
        near = (pre - threshold).abs() < ctx.bandwidth / 2
        return None, -grads[0] * near / ctx.bandwidth, None
