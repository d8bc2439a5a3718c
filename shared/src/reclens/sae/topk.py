"""TopK: exactly the k strongest latents fire."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from reclens.sae.base import SparseAutoencoder
from reclens.sae.codes import Codes


class TopKAutoencoder(SparseAutoencoder):
    """``z = TopK_k(ReLU(W_encᵀ (x̃ - b_dec) + b_enc))``.

    Source: arXiv 2406.04093, section 2.3.
    """

    def select(self, pre: Float[Tensor, "batch n_latents"]) -> Codes:
        values, indices = pre.topk(self.k, dim=1)
        return Codes(indices, values.relu())

    def choose(self, x: Float[Tensor, "batch d_model"]) -> tuple[Tensor, Tensor]:
        return self.strongest(x, self.k)
