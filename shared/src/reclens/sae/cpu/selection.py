"""Selection of the largest numbers: by compiled loops on a CPU with numba, else by PyTorch."""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib import import_module
from types import ModuleType

import torch
from jaxtyping import Float, Int
from torch import Tensor


def compiled_kernels(device: torch.device) -> ModuleType | None:
    """`reclens.sae.cpu.kernels` for a CPU with numba installed; else None: PyTorch does the work.

    Numba is an extra (``reclens[train]``): using an autoencoder needs none of it, and training
    without it is slower but equal up to rounding.
    """
    return _kernels() if device.type == "cpu" else None


@cache
def _kernels() -> ModuleType | None:
    if importlib.util.find_spec("numba") is None:
        return None
    return import_module("reclens.sae.cpu.kernels")


def top_k_of_products(
    x: Float[Tensor, "batch d_model"],
    weight: Float[Tensor, "d_model n"],
    bias: Float[Tensor, " n"],
    shift: Float[Tensor, " d_model"],
    k: int,
) -> tuple[Int[Tensor, "batch k"], Float[Tensor, "batch k"]]:
    """Columns and values of the ``k`` largest of each row of ``(x - shift) @ weight + bias``."""
    kernels = compiled_kernels(x.device)
    if kernels is None:
        values, indices = torch.addmm(bias, x - shift, weight).topk(k, dim=1, sorted=False)
    else:
        values, indices = kernels.top_k(x, weight, bias, shift, k)
    return indices, values


def kth_largest(values: Tensor, k: int) -> Float[Tensor, ""]:
    """A number that exactly ``k`` of all ``values`` reach; ties may let more reach it."""
    kernels = compiled_kernels(values.device)
    if kernels is None:
        return values.flatten().topk(k, sorted=False).values.min()
    return kernels.kth_largest(values, k)


def kth_largest_of_rows(values: Float[Tensor, "batch width"], k: int) -> Float[Tensor, "batch 1"]:
    """For each row a number that exactly ``k`` of it reach; ties may let more reach it."""
    kernels = compiled_kernels(values.device)
    if kernels is None:
        return values.topk(k, dim=1).values[:, -1:]
    return kernels.kth_largest_of_rows(values, k)


def keep_reaching(
    indices: Int[Tensor, "batch width"], values: Float[Tensor, "batch width"], edge: Tensor
) -> tuple[Int[Tensor, "batch kept"], Float[Tensor, "batch kept"]]:
    """Of each row the entries that reach ``edge``, as narrow as the longest row allows.

    Returns:
        Indices and values; short rows are filled with entries of the value -1.
    """
    kernels = compiled_kernels(values.device)
    if kernels is not None:
        return kernels.keep_reaching(indices, values, edge)
    reaches = values >= edge
    width = max(1, int(reaches.sum(1).max()))
    values, place = values.masked_fill(~reaches, -1.0).topk(width, dim=1, sorted=False)
    return indices.gather(1, place), values
