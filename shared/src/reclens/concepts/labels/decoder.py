"""The decoder of an autoencoder as numbers alone: the labeler runs without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from reclens.errors import CorruptArtifact

CONFIG = "config.json"
"""Object of an autoencoder that holds its `AutoencoderConfig`."""
WEIGHTS = "weights.safetensors"
"""Object of an autoencoder that holds its tensors."""
_DECODER = "W_dec"


def read_decoder(path: Path) -> np.ndarray:
    """Directions of all latents, float32 [n_latents, d_model].

    Args:
        path: of the file ``weights.safetensors``.

    Raises:
        CorruptArtifact: it cannot be read, or holds no decoder.
    """
    try:
        with safe_open(path, framework="numpy") as tensors:
            return tensors.get_tensor(_DECODER)
    except (SafetensorError, OSError) as error:
        raise CorruptArtifact(
            f"{path.name} has no decoder that can be read ({error}).",
            field=path.name,
            remedy="fetch the artifact again, or train the autoencoder anew.",
        ) from error
