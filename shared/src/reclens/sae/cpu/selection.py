"""Selection of the largest numbers: by compiled loops on a CPU with numba, else by PyTorch."""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_LANES_PER_K = 4


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
    """Columns and values of the ``k`` largest of each row of ``(x - shift) @ weight + bias``.

    In no order, and of equal values at the edge any may be chosen. The compiled loops compute rows
    a few at a time by each thread, so that what is selected from is still in its cache.

    Args:
        x: what is multiplied.
        weight: best stored by column, as ``W_enc`` is.
        bias: added to each row.
        shift: subtracted from ``x``.
        k: how many, at most n.
    """
    kernels = compiled_kernels(x.device)
    if kernels is None:
        values, indices = torch.addmm(bias, x - shift, weight).topk(k, dim=1, sorted=False)
        return indices, values
    n, as_array, loops = weight.shape[1], kernels.as_array, kernels.selection_loops
    values = torch.zeros(len(x), k, dtype=torch.float32)
    indices = torch.zeros(len(x), k, dtype=torch.int64)
    n_lanes = min(n, max(16, _LANES_PER_K * k))
    by_row, shifted = np.empty(tuple(weight.shape), np.float32), np.empty(n, np.float32)
    threads = kernels.use_threads()
    loops.transpose(as_array(weight.T), as_array(bias), as_array(shift), by_row, shifted)
    loops.top_k(as_array(x), by_row, shifted, values.numpy(), indices.numpy(), n_lanes, threads)
    return indices, values


def kth_largest(values: Tensor, k: int) -> Float[Tensor, ""]:
    """A number that exactly ``k`` of all ``values`` reach; ties may let more reach it."""
    kernels = compiled_kernels(values.device)
    if kernels is None:
        return values.flatten().topk(k, sorted=False).values.min()
    flat = kernels.as_array(values).reshape(-1)
    return torch.tensor(kernels.selection_loops.threshold(flat, len(flat), k, 0))


def kth_largest_of_rows(values: Float[Tensor, "batch width"], k: int) -> Float[Tensor, "batch 1"]:
    """For each row a number that exactly ``k`` of it reach; ties may let more reach it."""
    kernels = compiled_kernels(values.device)
    if kernels is None:
        return values.topk(k, dim=1).values[:, -1:]
    edges = torch.empty(len(values), 1)
    kernels.use_threads()
    kernels.selection_loops.row_thresholds(kernels.as_array(values), k, edges.numpy())
    return edges


def keep_reaching(
    indices: Int[Tensor, "batch width"], values: Float[Tensor, "batch width"], edge: Tensor
) -> tuple[Int[Tensor, "batch kept"], Float[Tensor, "batch kept"]]:
    """Of each row the entries that reach ``edge``, as narrow as the longest row allows.

    Returns:
        Indices and values; short rows are filled with entries of the value -1.
    """
    kernels = compiled_kernels(values.device)
    if kernels is None:
        reaches = values >= edge
        width = max(1, int(reaches.sum(1).max()))
        values, place = values.masked_fill(~reaches, -1.0).topk(width, dim=1, sorted=False)
        return indices.gather(1, place), values
    flat, limit, loops = kernels.as_array(values), float(edge), kernels.selection_loops
    width = max(1, int(loops.most_reaching(flat, limit)))
    kept = torch.zeros(len(values), width, dtype=torch.int64)
    reached = torch.full((len(values), width), -1.0)
    loops.keep_reaching(kernels.as_array(indices), flat, limit, kept.numpy(), reached.numpy())
    return kept, reached
