"""TopK: exactly the k strongest latents fire."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from reclens.sae.architectures.base import Chosen, DenseForward, SparseAutoencoder, Strongest
from reclens.sae.architectures.codes import Codes, kth_largest_of_rows
from reclens.sae.architectures.dense import Product, top_k_mask
from reclens.sae.architectures.losses import fvu

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
        coefficient, width = self._second(early=progress < MULTI_TOPK_SHARE)
        if not coefficient:
            return Chosen(*strongest(self.k))
        indices, pre = strongest(width)
        second = (pre < kth_largest_of_rows(pre, self.k)).to(torch.int64)
        return Chosen(indices, pre, second, weights=(1.0, coefficient), main=0)

    def _second(self, *, early: bool) -> tuple[float, int]:
        """What the wider reconstruction weighs, 0 where there is none, and its latents."""
        width = min(MULTI_TOPK_WIDTH * self.k, self.n_latents)
        wider = early and width > self.k
        return (self.config.multi_topk_coefficient if wider else 0.0), width

    def may_fire(self, pre: Float[Tensor, "batch n_latents"]) -> Bool[Tensor, "batch n_latents"]:
        return top_k_mask(pre, self.k)

    def dense_forward(
        self, x: Float[Tensor, "batch d_model"], multiply: Product, *, early: bool
    ) -> DenseForward:
        forward = super().dense_forward(x, multiply, early=early)
        coefficient, width = self._second(early=early)
        if not coefficient:
            return forward
        pre = self.add_biases(forward.products, self.b_dec)
        wide = pre.relu() * top_k_mask(pre.detach(), width)
        wide_hat = self.decode_levels(wide, multiply)[-1]
        return forward._replace(penalty=coefficient * fvu(x, wide_hat, variance=self.d_model))
