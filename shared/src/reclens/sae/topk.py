"""TopK: exactly the k strongest latents fire."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from reclens.sae.base import Chosen, SparseAutoencoder, Strongest
from reclens.sae.codes import Codes, kth_largest_of_rows

MULTI_TOPK_WIDTH = 2
"""Times k, the latents of the wider reconstruction in early training."""
MULTI_TOPK_SHARE = 0.5
"""Share of the steps, the first ones, in which there is one."""


class TopKAutoencoder(SparseAutoencoder):
    """``z = TopK_k(ReLU(W_encᵀ (x̃ - b_dec) + b_enc))``.

    In the first half of training a second reconstruction from 2 k latents has a part in the loss
    (Multi-TopK, ``config.multi_topk_coefficient``). It parts latents that stand for the sum of two
    directions, which TopK alone leaves together.

    Source: arXiv 2406.04093, section 2.3 and appendix A.2.
    """

    def select(self, pre: Float[Tensor, "batch n_latents"]) -> Codes:
        values, indices = pre.topk(self.k, dim=1)
        return Codes(indices, values.relu())

    def choose(self, strongest: Strongest, progress: float) -> Chosen:
        coefficient = self.config.multi_topk_coefficient
        width = min(MULTI_TOPK_WIDTH * self.k, self.n_latents)
        if not coefficient or progress >= MULTI_TOPK_SHARE or width == self.k:
            return Chosen(*strongest(self.k))
        indices, pre = strongest(width)
        second = (pre < kth_largest_of_rows(pre, self.k)).to(torch.int64)
        return Chosen(indices, pre, second, weights=(1.0, coefficient), main=0)
