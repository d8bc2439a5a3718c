"""Encoding more rows than should have their dense pre-activations in memory at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.architectures.codes import Codes

CHUNK_ROWS = 4096
"""Rows encoded at a time."""


def encode_rows(sae: SparseAutoencoder, x: np.ndarray) -> Iterator[tuple[Tensor, Codes]]:
    """Chunks of ``x`` [rows, d_model] as float32 tensors where ``sae`` is, each with its codes."""
    for start in range(0, len(x), CHUNK_ROWS):
        # A copy, since views of Parquet buffers are read-only, which torch does not know.
        chunk = torch.from_numpy(x[start : start + CHUNK_ROWS].astype(np.float32)).to(sae.device)
        with torch.no_grad():
            codes = sae.encode(chunk)
        yield chunk, codes
