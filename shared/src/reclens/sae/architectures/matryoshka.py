"""Matryoshka BatchTopK: the first latents must do alone, so they learn the general things."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from reclens.contracts import AutoencoderConfig
from reclens.sae.architectures.base import Chosen, Strongest
from reclens.sae.architectures.batchtopk import BatchTopKAutoencoder
from reclens.sae.architectures.dense import Product


class MatryoshkaAutoencoder(BatchTopKAutoencoder):
    """BatchTopK whose nested prefixes of latents each reconstruct, with equal weight in the loss.

    The prefixes are ``config.matryoshka_levels`` as shares of ``n_latents``.

    Source: Bussmann et al., Learning Multi-Level Features with Matryoshka Sparse Autoencoders,
    arXiv 2503.17547.
    """

    group: Tensor

    def __init__(self, config: AutoencoderConfig, d_model: int) -> None:
        super().__init__(config, d_model)
        self.register_buffer("group", torch.tensor(config.latent_levels), persistent=False)

    def choose(self, strongest: Strongest, progress: float) -> Chosen:
        chosen = super().choose(strongest, progress)
        n_levels = len(self.config.matryoshka_levels)
        return chosen._replace(
            levels=self.group[chosen.indices],
            weights=(1 / n_levels,) * n_levels,
            main=n_levels - 1,
        )

    def decode_levels(
        self, values: Float[Tensor, "batch n_latents"], multiply: Product
    ) -> Float[Tensor, "n_levels batch d_model"]:
        levels, x_hat, start = [], self.b_dec, 0
        for end in self.config.level_ends:
            x_hat = x_hat + multiply(values[:, start:end], self.W_dec[start:end])
            levels.append(x_hat)
            start = end
        return torch.stack(levels)
