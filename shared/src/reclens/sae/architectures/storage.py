"""Autoencoders on disk: ``config.json`` and ``weights.safetensors``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from reclens.contracts import AutoencoderConfig
from reclens.errors import CorruptArtifact, MissingData

if TYPE_CHECKING:
    from torch import Tensor, nn

CONFIG = "config.json"
WEIGHTS = "weights.safetensors"


def save_weights(module: nn.Module, config: AutoencoderConfig, folder: Path) -> list[str]:
    """Write a module's configuration and tensors to ``folder``; returns the file names."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config.canonical(), indent=2, sort_keys=True)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()
    }
    save_file(tensors, folder / WEIGHTS)
    return [CONFIG, WEIGHTS]


def read_config(folder: Path) -> AutoencoderConfig:
    """Read ``config.json``.

    Raises:
        MissingData: there is none.
        InvalidSpec: it does not validate.
        CorruptArtifact: it does not say the width of its activations.
    """
    config = AutoencoderConfig.parse(_require(folder / CONFIG).read_text(encoding="utf-8"))
    if config.d_model is None:
        raise CorruptArtifact(
            f"{folder / CONFIG} lacks the width of the activations.",
            field="d_model",
            remedy="save the autoencoder again with `sae.save(folder)`.",
        )
    return config


def load_weights(module: nn.Module, folder: Path) -> None:
    """Fill a module with the tensors of ``weights.safetensors``.

    Raises:
        MissingData: there is no such file.
        CorruptArtifact: it cannot be read, or names, shapes or types are not the module's.
    """
    path = _require(folder / WEIGHTS)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise _corrupt(path, f"cannot be read ({error})") from error
    expected = module.state_dict()
    if _layout(tensors) != _layout(expected):
        raise _corrupt(path, f"holds {_layout(tensors)}, its config asks for {_layout(expected)}")
    module.load_state_dict(tensors)


def _layout(tensors: dict[str, Tensor]) -> dict[str, str]:
    return {name: f"{value.dtype}{list(value.shape)}" for name, value in sorted(tensors.items())}


def _require(path: Path) -> Path:
    if not path.is_file():
        raise MissingData(
            f"{path} does not exist.",
            field=path.name,
            remedy="give the folder that `sae.save(folder)` wrote.",
        )
    return path


def _corrupt(path: Path, what: str) -> CorruptArtifact:
    return CorruptArtifact(
        f"{path} {what}.", field=path.name, remedy="fetch the artifact again, or train it anew."
    )
