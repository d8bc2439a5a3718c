"""Products and masks of a step that is computed densely, as accelerators like it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Product = Callable[
    [Float[Tensor, "rows inner"], Float[Tensor, "inner columns"]], Float[Tensor, "rows columns"]
]
"""A matrix product, float32 in and out, in some precision."""


def multiply_float32(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` as it is."""
    return a @ b


def multiply_bfloat16(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` of numbers with 8 significant bits; so are the products of its gradient.

    Casts are written out instead of left to autocast, which also decides what else is cast.
    """
    return (a.bfloat16() @ b.bfloat16()).float()


PRODUCTS: dict[str, Product] = {"float32": multiply_float32, "bfloat16": multiply_bfloat16}
"""By the ``precision`` of the configuration."""


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
