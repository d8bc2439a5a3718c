"""Architectures by the ``kind`` of their configuration, found by entry points."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from reclens.contracts.specs.autoencoder import AUTOENCODERS, AutoencoderConfig
from reclens.errors import CorruptArtifact, InvalidInput
from reclens.sae.architectures.base import SparseAutoencoder
from reclens.weights import CONFIG, WEIGHTS, corrupt, read_description, read_tensors

_WRITER = "`sae.save(folder)`"


@cache
def architecture(kind: str) -> type[SparseAutoencoder]:
    """The class that is declared under ``kind``, by RecLens or by an installed package.

    Raises:
        NotFound: no installed package offers it.
        InvalidInput: it cannot be imported or is not a `SparseAutoencoder`.
    """
    loaded = AUTOENCODERS.load(kind)
    if not issubclass(loaded, SparseAutoencoder):
        raise InvalidInput(
            f"autoencoder {kind!r} is a {loaded.__qualname__}, which is not a subclass of "
            "reclens.sae.SparseAutoencoder.",
            field="config.kind",
            remedy="see docs/how-to/extend/autoencoder.md.",
        )
    return loaded


def build_autoencoder(config: AutoencoderConfig, d_model: int) -> SparseAutoencoder:
    """An untrained autoencoder; the same seed gives the same weights.

    Raises:
        NotFound: no installed package offers the kind.
        InvalidInput: what is installed under it cannot be used.
        InvalidSpec: its own configuration refuses a field.
    """
    kind = architecture(config.kind)
    own = config if isinstance(config, kind.Config) else kind.Config.parse(config.canonical())
    return kind(own, d_model)


def load_autoencoder(folder: str | Path, device: torch.device | str = "cpu") -> SparseAutoencoder:
    """Read what ``save`` wrote; on ``device``, ready for use, gradients off.

    Raises:
        MissingData: a file is missing.
        NotFound: no installed package offers the kind.
        InvalidSpec: the configuration does not validate.
        CorruptArtifact: the weights cannot be read, or names, shapes or types do not fit the
            configuration, or that does not say the width of the activations.
    """
    folder = Path(folder)
    config = AutoencoderConfig.parse(read_description(folder / CONFIG, _WRITER))
    if config.d_model is None:
        raise CorruptArtifact(
            f"{folder / CONFIG} lacks the width of the activations.",
            field="d_model",
            remedy=f"save the autoencoder again with {_WRITER}.",
        )
    sae = build_autoencoder(config, config.d_model)
    tensors, expected = read_tensors(folder / WEIGHTS, _WRITER), _layout(sae.state_dict())
    if _layout(tensors) != expected:
        raise corrupt(folder / WEIGHTS, f"holds {_layout(tensors)}, its config asks for {expected}")
    sae.load_state_dict(tensors)
    return sae.to(device).eval().requires_grad_(False)


def _layout(tensors: dict[str, Tensor]) -> dict[str, str]:
    return {name: f"{value.dtype}{list(value.shape)}" for name, value in sorted(tensors.items())}
