"""BatchTopK: k latents an activation on average, more where there is more to say."""

from __future__ import annotations

from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

from reclens.contracts import AutoencoderConfig
from reclens.sae.base import Chosen, SparseAutoencoder, Strongest, codes_above
from reclens.sae.codes import Codes, keep_reaching, kth_largest

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

    def choose(self, strongest: Strongest, progress: float) -> Chosen:
        del progress
        indices, pre = strongest(training_width(self.config))
        kept = min(len(pre) * self.k, pre.numel())
        # Few rows are as wide as the widest allowed; the others need not be carried so far.
        return Chosen(*keep_reaching(indices, pre, kth_largest(pre, kept)))

    def after_step(self, values: Float[Tensor, "batch width"]) -> None:
        fired = values[values > 0]
        if len(fired):
            self.threshold.lerp_(fired.min(), 1 - _MEMORY)


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
