"""BatchTopK: k latents an activation on average, more where there is more to say."""

from __future__ import annotations

from statistics import NormalDist

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from reclens.contracts import AutoencoderConfig
from reclens.sae.base import DenseForward, Forward, SparseAutoencoder, codes_above
from reclens.sae.codes import Codes, kth_largest
from reclens.sae.dense import top_k_mask

MAX_WIDTH_PER_K = 4
"""In training no activation gets more than so many times k latents."""
_MEMORY = 0.9
"""Weight of the past in the running threshold."""


class BatchTopKAutoencoder(SparseAutoencoder):
    """In training the ``batch · k`` strongest of a batch fire; in use, those above a threshold.

    Attributes:
        threshold: running mean of the weakest activation that fired in a training batch. Before
            training it is what k of n_latents standard normal numbers exceed.

    Source: Bussmann, Leask and Nanda, BatchTopK Sparse Autoencoders, arXiv 2412.06410.
    """

    threshold: Tensor

    def __init__(self, config: AutoencoderConfig, d_model: int) -> None:
        super().__init__(config, d_model)
        self.register_buffer("threshold", torch.tensor(expected_threshold(config)))

    def select(self, pre: Float[Tensor, "batch n_latents"]) -> Codes:
        return codes_above(pre, self.threshold)

    def choose(self, x: Float[Tensor, "batch d_model"]) -> tuple[Tensor, Tensor]:
        indices, pre = self.strongest(x, training_width(self.config))
        kept = min(len(pre) * self.k, pre.numel())
        fires = pre >= kth_largest(pre, kept)
        # Few rows are as wide as the widest allowed; the others need not be carried so far.
        width = max(1, int(fires.sum(1).max()))
        pre, place = pre.masked_fill(~fires, -1.0).topk(width, dim=1, sorted=False)
        return indices.gather(1, place), pre

    def may_fire(self, pre: Float[Tensor, "batch n_latents"]) -> Bool[Tensor, "batch n_latents"]:
        width = training_width(self.config)
        flat = pre.topk(width, dim=1, sorted=False).values.flatten()
        edge = flat.topk(min(len(pre) * self.k, len(flat)), sorted=False).values.min()
        return top_k_mask(pre, width) & (pre >= edge)

    def after_step(self, forward: Forward | DenseForward) -> None:
        super().after_step(forward)
        values = forward.values.detach()
        weakest = values.masked_fill(values <= 0, torch.inf).min()
        # Nothing fired: infinity. Asking whether it did would wait for the device.
        moved = self.threshold.lerp(weakest, 1 - _MEMORY)
        self.threshold.copy_(torch.where(weakest.isfinite(), moved, self.threshold))


def expected_threshold(config: AutoencoderConfig) -> float:
    """What ``k`` of ``n_latents`` standard normal pre-activations exceed, at least 0.

    Normalised activations have a mean square of 1 in each dimension, so untrained pre-activations
    have about unit variance.
    """
    share = min(config.k / config.n_latents, 0.5)
    return NormalDist().inv_cdf(1 - share)


def training_width(config: AutoencoderConfig) -> int:
    """Latents that an activation may have in training at most."""
    return min(MAX_WIDTH_PER_K * config.k, config.n_latents)
