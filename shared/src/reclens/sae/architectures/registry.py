"""Architectures by the ``kind`` of their configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from reclens.contracts import AutoencoderConfig
from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.architectures.batchtopk import BatchTopKAutoencoder
from reclens.sae.architectures.closed_form import DimensionsAutoencoder, PcaAutoencoder
from reclens.sae.architectures.jumprelu import JumpReluAutoencoder
from reclens.sae.architectures.matryoshka import MatryoshkaAutoencoder
from reclens.sae.architectures.storage import load_weights, read_config
from reclens.sae.architectures.topk import TopKAutoencoder

ARCHITECTURES: Final[dict[str, type[SparseAutoencoder]]] = {
    "topk": TopKAutoencoder,
    "batchtopk": BatchTopKAutoencoder,
    "matryoshka": MatryoshkaAutoencoder,
    "jumprelu": JumpReluAutoencoder,
    "dimensions": DimensionsAutoencoder,
    "pca": PcaAutoencoder,
}
"""To add one: its file, its line here, its ``kind`` in the configuration."""


def build_autoencoder(config: AutoencoderConfig, d_model: int) -> SparseAutoencoder:
    """An untrained autoencoder; the same seed gives the same weights."""
    return ARCHITECTURES[config.kind](config, d_model)


def load_autoencoder(folder: str | Path, device: torch.device | str = "cpu") -> SparseAutoencoder:
    """Read what ``save`` wrote; on ``device``, ready for use, gradients off.

    Raises:
        MissingData: a file is missing.
        InvalidSpec: the configuration does not validate.
        CorruptArtifact: the weights cannot be read or do not fit the configuration.
    """
    folder = Path(folder)
    config = read_config(folder)
    assert config.d_model is not None
    sae = build_autoencoder(config, config.d_model)
    load_weights(sae, folder)
    return sae.to(device).eval().requires_grad_(False)
