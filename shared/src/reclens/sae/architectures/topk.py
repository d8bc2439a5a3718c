"""TopK: exactly the k strongest latents fire."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from reclens.contracts.specs.autoencoder import TopKConfig
from reclens.sae.architectures.base import Activations, Product, SparseAutoencoder, TrainingPass
from reclens.sae.architectures.codes import Codes, top_k_mask
from reclens.sae.architectures.fused import Candidates, FusedTraining, strongest_latents
from reclens.sae.cpu.selection import kth_largest_of_rows

MULTI_TOPK_WIDTH = 2
"""Times k, the latents of the wider reconstruction in early training."""
MULTI_TOPK_SHARE = 0.5
"""Share of the steps, the first ones, in which there is one."""


class TopKAutoencoder(SparseAutoencoder, FusedTraining):
    """``z = TopK_k(ReLU(W_encᵀ (x̃ - b_dec) + b_enc))``.

    In the first half of training a second reconstruction from 2 k latents has a part in the loss
    (Multi-TopK, ``config.multi_topk_coefficient``). It parts latents that stand for the sum of two
    directions, which TopK alone leaves together.

    Source: arXiv 2406.04093, section 2.3 and appendix A.2.
    """

    Config = TopKConfig

    def select(self, pre: Float[Tensor, "batch n_latents"]) -> Codes:
        values, indices = pre.topk(self.k, dim=1)
        return Codes(indices, values.relu())

    def activate(self, pre: Float[Tensor, "batch n_latents"]) -> Activations:
        return Activations(pre.relu() * top_k_mask(pre.detach(), self.k))

    def training_pass(
        self, x: Float[Tensor, "batch d_model"], multiply: Product, *, early: bool
    ) -> TrainingPass:
        passed = super().training_pass(x, multiply, early=early)
        coefficient, width = self._second(early=early)
        if not coefficient:
            return passed
        pre = self.add_biases(passed.products, self.b_dec)
        wide = self.decode_levels(pre.relu() * top_k_mask(pre.detach(), width), multiply)
        return passed._replace(
            reconstructions=passed.reconstructions + wide, weights=(1.0, coefficient)
        )

    def candidates(self, x: Float[Tensor, "batch d_model"], progress: float) -> Candidates:
        coefficient, width = self._second(early=progress < MULTI_TOPK_SHARE)
        if not coefficient:
            return Candidates(*strongest_latents(self, x, self.k))
        indices, pre = strongest_latents(self, x, width)
        second = (pre < kth_largest_of_rows(pre, self.k)).to(torch.int64)
        return Candidates(indices, pre, second, weights=(1.0, coefficient), main=0)

    def _second(self, *, early: bool) -> tuple[float, int]:
        """What the wider reconstruction weighs, 0 where there is none, and its latents."""
        width = min(MULTI_TOPK_WIDTH * self.k, self.n_latents)
        if not early or width <= self.k or not isinstance(self.config, TopKConfig):
            return 0.0, width
        return self.config.multi_topk_coefficient, width
