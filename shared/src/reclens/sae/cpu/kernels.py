"""Compiled loops over latents on a CPU, and what it takes to call them with tensors. Needs numba.

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

__all__ = ["as_array", "in_place", "selection_loops", "step_loops", "use_threads"]

if sys.platform == "linux":
    with suppress(ImportError):
        import_module("numba.np.ufunc.omppool")
        # Shares PyTorch's pool of threads: of two pools one would spin while the other works.
        config.THREADING_LAYER = "omp"  # pyright: ignore[reportAttributeAccessIssue]

_TORCH_THREADS = torch.get_num_threads()
_MAX_THREADS = numba.get_num_threads()
torch.set_num_threads(_TORCH_THREADS)  # starting the shared pool has set it to all cores


def as_array(tensor: Tensor) -> np.ndarray:
    """The tensor's numbers, in C order; copied if they are stored otherwise."""
    return tensor.detach().contiguous().numpy()


def use_threads() -> int:
    """Let the loops use as many threads as PyTorch does; returns the number."""
    threads = min(torch.get_num_threads(), _MAX_THREADS)
    numba.set_num_threads(threads)
    return threads


def in_place(tensor: Tensor) -> np.ndarray:
    """The tensor's own memory as a matrix in C order.

    Of a vector, or of a matrix that is stored by row or, as ``W_enc``, by column.
    """
    tensor = tensor.detach()
    if tensor.ndim == 1:
        tensor = tensor[:, None]
    array = tensor.numpy()
    return array if array.flags.c_contiguous else array.T
