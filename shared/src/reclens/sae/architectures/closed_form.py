"""Controls without training: the raw dimensions and the principal components, as dictionaries.

A latent fires on one side of zero only, so each axis gives two: one for each of its signs.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from reclens.contracts.specs.autoencoder import AutoencoderConfig, DimensionsConfig, PcaConfig
from reclens.sae.architectures.topk import TopKAutoencoder

Square = Float[np.ndarray, "d_model d_model"]
"""A covariance, or an orthonormal basis of rows."""


class ClosedFormAutoencoder(TopKAutoencoder):
    """Both signs of an orthonormal basis: ``2 · d_model`` latents, of which the top k are kept.

    The configuration's ``n_latents`` is replaced; a ``k`` above ``d_model`` is lowered to it.
    """

    def __init__(self, config: AutoencoderConfig, d_model: int) -> None:
        update = {"n_latents": 2 * d_model, "k": min(config.k, d_model)}
        super().__init__(config.model_copy(update=update), d_model)

    def initial_directions(self, d_model: int) -> Float[Tensor, "n_latents d_model"]:
        return _both_signs(torch.eye(d_model))

    @abstractmethod
    def basis(self, covariance: Square) -> Square:
        """Orthonormal rows, from the covariance of normalised activations."""

    @torch.no_grad()
    def fit(self, covariance: Square) -> None:
        """Set the dictionary."""
        rows = _both_signs(torch.from_numpy(self.basis(covariance).astype(np.float32)))
        self.W_dec.copy_(rows)
        self.W_enc.copy_(rows.T)


class DimensionsAutoencoder(ClosedFormAutoencoder):
    """The raw dimensions of the activation."""

    Config = DimensionsConfig

    def basis(self, covariance: Square) -> Square:
        return np.eye(len(covariance))


class PcaAutoencoder(ClosedFormAutoencoder):
    """The principal components, in falling order of variance."""

    Config = PcaConfig

    def basis(self, covariance: Square) -> Square:
        _, vectors = np.linalg.eigh(covariance)
        rows = vectors.T[::-1]
        # An eigenvector's sign is arbitrary; fixed, so that the same data give the same bytes.
        largest = rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)]
        return rows * np.sign(largest)[:, None]


def _both_signs(basis: Float[Tensor, "d_model d_model"]) -> Float[Tensor, "n_latents d_model"]:
    return torch.stack([basis, -basis], dim=1).flatten(0, 1)
