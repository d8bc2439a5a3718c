"""BatchTopK: k latents an activation on average, more where there is more to say."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

from reclens.contracts.specs.autoencoder import AutoencoderConfig, BatchTopKConfig
from reclens.sae.architectures.base import Activations, SparseAutoencoder
from reclens.sae.architectures.codes import top_k_mask
from reclens.sae.architectures.fused import Candidates, FusedTraining, strongest_latents
from reclens.sae.cpu.selection import keep_reaching, kth_largest

MAX_WIDTH_PER_K = 4
"""In training no activation gets more than so many times k latents."""


class BatchTopKAutoencoder(SparseAutoencoder, FusedTraining):
    """In training the ``batch · k`` strongest of a batch fire; in use, those above a threshold.

    Attributes:
        threshold: mean over training batches of the weakest activation that fires, by the final
            weights (a running mean of steps would be of the weights on the way). Before training
            it is what k of n_latents standard normal numbers exceed.

    Source: Bussmann, Leask and Nanda, BatchTopK Sparse Autoencoders, arXiv 2412.06410.
    """

    Config = BatchTopKConfig

    threshold: Tensor

    def __init__(self, config: AutoencoderConfig, d_model: int) -> None:
        super().__init__(config, d_model)
        self.register_buffer("threshold", torch.tensor(expected_threshold(config)))

    def thresholds(self) -> Float[Tensor, " n_latents"]:
        return self.threshold.expand(self.n_latents)

    def activate(self, pre: Float[Tensor, "batch n_latents"]) -> Activations:
        width, detached = training_width(self.config), pre.detach()
        flat = detached.topk(width, dim=1, sorted=False).values.flatten()
        edge = flat.topk(min(len(pre) * self.k, len(flat)), sorted=False).values.min()
        return Activations(pre.relu() * (top_k_mask(detached, width) & (detached >= edge)))

    def candidates(self, x: Float[Tensor, "batch d_model"], progress: float) -> Candidates:
        del progress
        indices, pre = strongest_latents(self, x, training_width(self.config))
        kept = min(len(pre) * self.k, pre.numel())
        # Few rows are as wide as the widest allowed; the others need not be carried so far.
        return Candidates(*keep_reaching(indices, pre, kth_largest(pre, kept)))

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Float[Tensor, "batch d_model"]]) -> None:
        """Set the threshold to the mean over batches of what ``batch · k`` of a batch reach."""
        width = training_width(self.config)
        edges = [
            kth_largest(pre, min(len(x) * self.k, pre.numel()))
            for x in batches
            for _, pre in [strongest_latents(self, x, width)]
        ]
        if edges:
            self.threshold.copy_(torch.stack(edges).mean().clamp_min(0))


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
