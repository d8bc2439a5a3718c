"""Matryoshka BatchTopK: the first latents must do alone, so they learn the general things."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from reclens.contracts.specs.autoencoder import AutoencoderConfig, MatryoshkaConfig
from reclens.sae.architectures.base import Product
from reclens.sae.architectures.batchtopk import BatchTopKAutoencoder
from reclens.sae.architectures.fused import Candidates


class MatryoshkaAutoencoder(BatchTopKAutoencoder):
    """BatchTopK whose nested prefixes of latents each reconstruct, with equal weight in the loss.

    The prefixes are ``config.matryoshka_levels`` as shares of ``n_latents``.

    Source: Bussmann et al., Learning Multi-Level Features with Matryoshka Sparse Autoencoders,
    arXiv 2503.17547.
    """

    Config = MatryoshkaConfig

    group: Tensor

    def __init__(self, config: AutoencoderConfig, d_model: int) -> None:
        super().__init__(config, d_model)
        self.register_buffer("group", torch.tensor(config.latent_levels), persistent=False)

    def decode_levels(
        self, values: Float[Tensor, "batch n_latents"], multiply: Product
    ) -> tuple[Float[Tensor, "batch d_model"], ...]:
        levels, x_hat, start = [], self.b_dec, 0
        for end in self.config.level_ends:
            x_hat = x_hat + multiply(values[:, start:end], self.W_dec[start:end])
            levels.append(x_hat)
            start = end
        return tuple(levels)

    def candidates(self, x: Float[Tensor, "batch d_model"], progress: float) -> Candidates:
        found = super().candidates(x, progress)
        n_levels = len(self.config.level_ends)
        return found._replace(
            levels=self.group[found.indices],
            weights=(1 / n_levels,) * n_levels,
            main=n_levels - 1,
        )
