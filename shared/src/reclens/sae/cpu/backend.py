"""Whether the compiled loops can be used."""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib import import_module
from types import ModuleType

import torch


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
