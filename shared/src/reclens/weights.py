"""A model on disk: its description in JSON, its tensors in safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from reclens.errors import CorruptArtifact, MissingData

CONFIG: Final = "config.json"
WEIGHTS: Final = "weights.safetensors"
_MAX_DESCRIPTION_BYTES: Final = 1 << 20


def write_model(
    folder: Path,
    description: dict[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    names: tuple[str, str] = (CONFIG, WEIGHTS),
) -> list[str]:
    """Write both files into ``folder`` (made if need be) and return their names.

    The same description and tensors give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(description, indent=2, sort_keys=True)
    (folder / names[0]).write_text(text + "\n", encoding="utf-8")
    # Copies: the format refuses tensors that share memory, as tied weights do.
    copies = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    save_file(copies, folder / names[1])
    return list(names)


def require_file(path: Path, writer: str) -> Path:
    """``path``, which ``writer`` should have written.

    Raises:
        MissingData: it is not there.
    """
    if not path.is_file():
        raise MissingData(
            f"there is no {path.name} in {path.parent}.",
            field=path.name,
            remedy=f"give the folder that {writer} wrote.",
        )
    return path


def read_description(path: Path, writer: str) -> str:
    """The JSON text of a model's description that ``writer`` should have written.

    Raises:
        MissingData: it is not there.
        CorruptArtifact: it cannot be read, or is no description by its size.
    """
    try:
        if require_file(path, writer).stat().st_size > _MAX_DESCRIPTION_BYTES:
            raise corrupt(path, f"has more than {_MAX_DESCRIPTION_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise corrupt(path, f"cannot be read ({error})") from error


def read_tensors(path: Path, writer: str) -> dict[str, Tensor]:
    """All tensors of a file that ``writer`` should have written.

    Raises:
        MissingData: it is not there.
        CorruptArtifact: it cannot be read.
    """
    try:
        return load_file(require_file(path, writer))
    except (SafetensorError, OSError, ValueError) as error:
        raise corrupt(path, f"cannot be read ({error})") from error


def corrupt(path: Path, problem: str) -> CorruptArtifact:
    """The error for a file that is not what it should be."""
    return CorruptArtifact(
        f"{path} {problem}.",
        field=path.name,
        remedy="fetch the artifact again, or make it anew.",
    )
