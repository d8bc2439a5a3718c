"""Sparse codes: the few latents that fire for an activation, and the masks that choose them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Codes(NamedTuple):
    """Active latents of a batch, strongest first."""

    indices: Int[Tensor, "batch k"]
    """Latents, int64."""
    values: Float[Tensor, "batch k"]
    """Their activations, float32, falling and never negative. Zero: the latent does not fire."""

    def dense(self, n_latents: int) -> Float[Tensor, "batch n_latents"]:
        """The same codes with a column per latent."""
        zeros = self.values.new_zeros(len(self.values), n_latents)
        return zeros.scatter_add_(1, self.indices, self.values)


def codes_above(
    pre: Float[Tensor, "batch n_latents"], threshold: Float[Tensor, "*n_latents"] | float = 0.0
) -> Codes:
    """Codes of the latents whose pre-activation is above ``threshold`` and above zero."""
    fires = (pre > threshold) & (pre > 0)
    width = max(1, int(fires.sum(1).max())) if len(pre) else 1
    values, indices = (pre * fires).topk(width, dim=1)
    return Codes(indices, values)


def top_k_mask(values: Float[Tensor, "batch n_latents"], k: int) -> Bool[Tensor, "batch n_latents"]:
    """True at the ``k`` largest of each row; of equal ones at the edge, any."""
    if torch.compiler.is_compiling():
        mask: Tensor = _opaque_top_k_mask(values, k)
        return mask
    return _top_k_mask(values, k)


def _top_k_mask(values: Tensor, k: int) -> Tensor:
    indices = values.topk(k, dim=1, sorted=False).indices
    return torch.zeros_like(values, dtype=torch.bool).scatter_(1, indices, True)


# The compiler of torch 2.13 moves what reads the mask before the scatter that fills it, once there
# are two masks in a graph; it does not look into an operation of our own.
@torch.library.custom_op("reclens::top_k_mask", mutates_args=())
def _opaque_top_k_mask(values: torch.Tensor, k: int) -> torch.Tensor:
    return _top_k_mask(values, k)


@_opaque_top_k_mask.register_fake
def _(values: torch.Tensor, k: int) -> torch.Tensor:
    return torch.empty_like(values, dtype=torch.bool)
