"""Compiled loops over latents on a CPU, called with tensors. Needs numba.

The first call of each compiles (seconds); the result is cached on disk.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module

import numba
import numpy as np
import torch
from numba.core import config
from torch import Tensor

from reclens.sae.cpu import selection_loops, step_loops

if sys.platform == "linux":
    with suppress(ImportError):
        import_module("numba.np.ufunc.omppool")
        # Shares PyTorch's pool of threads: of two pools one would spin while the other works.
        config.THREADING_LAYER = "omp"  # pyright: ignore[reportAttributeAccessIssue]

_LANES_PER_K = 4
_TORCH_THREADS = torch.get_num_threads()
_MAX_THREADS = numba.get_num_threads()
torch.set_num_threads(_TORCH_THREADS)  # starting the shared pool has set it to all cores


def top_k(x: Tensor, weight: Tensor, bias: Tensor, shift: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest of each row of ``(x - shift) @ weight + bias``: values and indices.

    In no order, and of equal values at the edge any may be chosen. Rows are computed a few at a
    time by each thread, so that what is selected from is still in its cache.

    Args:
        x: [batch, d_model].
        weight: [d_model, n], best stored by column, as ``W_enc`` is.
        bias: [n].
        shift: [d_model].
        k: how many, at most n.
    """
    n = weight.shape[1]
    values = torch.zeros(len(x), k, dtype=torch.float32)
    indices = torch.zeros(len(x), k, dtype=torch.int64)
    n_lanes = min(n, max(16, _LANES_PER_K * k))
    by_row, shifted = np.empty(tuple(weight.shape), np.float32), np.empty(n, np.float32)
    threads = use_threads()
    selection_loops.transpose(as_array(weight.T), as_array(bias), as_array(shift), by_row, shifted)
    selection_loops.top_k(
        as_array(x), by_row, shifted, values.numpy(), indices.numpy(), n_lanes, threads
    )
    return values, indices


def kth_largest(values: Tensor, k: int) -> Tensor:
    """A number that exactly ``k`` of ``values`` reach; ties may let more reach it."""
    flat = as_array(values).reshape(-1)
    return torch.tensor(selection_loops.threshold(flat, len(flat), k, 0))


def kth_largest_of_rows(values: Tensor, k: int) -> Tensor:
    """For each row a number that exactly ``k`` of it reach [batch, 1]; ties may let in more."""
    edges = torch.empty(len(values), 1)
    use_threads()
    selection_loops.row_thresholds(as_array(values), k, edges.numpy())
    return edges


def keep_reaching(indices: Tensor, values: Tensor, edge: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row the entries that reach ``edge``, as narrow as the longest row allows.

    Returns:
        Indices and values [batch, width]; short rows end with entries of the value -1.
    """
    flat, limit = as_array(values), float(edge)
    width = max(1, int(selection_loops.most_reaching(flat, limit)))
    kept_values = torch.full((len(values), width), -1.0)
    kept_indices = torch.zeros(len(values), width, dtype=torch.int64)
    selection_loops.keep_reaching(
        as_array(indices), flat, limit, kept_indices.numpy(), kept_values.numpy()
    )
    return kept_indices, kept_values


def as_array(tensor: Tensor) -> np.ndarray:
    """The tensor's numbers, in C order; copied if they are stored otherwise."""
    return tensor.detach().contiguous().numpy()


def use_threads() -> int:
    """Let the loops use as many threads as PyTorch does; returns the number."""
    threads = min(torch.get_num_threads(), _MAX_THREADS)
    numba.set_num_threads(threads)
    return threads


def descend(
    gradient: Tensor,
    point: Tensor,
    last: Tensor,
    average: Tensor,
    *,
    rate: float,
    share: float,
    nearness: float,
    unit_rows: bool,
) -> None:
    """One step of `AveragedSignDescent`, in one pass; changes ``point``, ``last``, ``average``.

    Args:
        gradient: of ``point``, as the other tensors a vector, or a matrix that is stored by row
            or, as ``W_enc``, by column.
        rate: step size.
        share: what the new last point weighs in the average.
        nearness: of ``point`` to the average.
        unit_rows: whether the rows of ``point`` have unit length: then the part of the gradient
            along a row is left out, and the length is restored.
    """
    use_threads()
    step_loops.descend(
        _in_place(gradient),
        _in_place(point),
        _in_place(last),
        _in_place(average),
        np.float32(rate),
        np.float32(share),
        np.float32(nearness),
        unit_rows,
    )


def _in_place(tensor: Tensor) -> np.ndarray:
    """The tensor's own memory as a matrix in C order."""
    tensor = tensor.detach()
    if tensor.ndim == 1:
        tensor = tensor[:, None]
    array = tensor.numpy()
    return array if array.flags.c_contiguous else array.T
