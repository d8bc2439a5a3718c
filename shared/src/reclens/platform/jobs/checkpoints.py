"""Checkpoints of running jobs: tensors in safetensors, the rest in JSON, the pointer last."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reclens.contracts import canonical_json, sha256_hex
from reclens.errors import NotFound

if TYPE_CHECKING:
    import numpy as np

    from reclens.platform.store.objects import ObjectStore


class CheckpointStore:
    """The latest checkpoint of one artifact in the making, below ``checkpoints/{kind}/{id}/``."""

    def __init__(self, objects: ObjectStore, ref: str) -> None:
        self._objects = objects
        self._prefix = f"checkpoints/{ref}"
        self._current: str | None = None

    def save(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Replace the checkpoint. A crash in between leaves the one before in force."""
        if not tensors:
            # A state that is JSON alone lies in the pointer.
            self._objects.put(f"{self._prefix}/latest.json", canonical_json({"meta": meta}))
            return
        from safetensors.numpy import save_file  # noqa: PLC0415 - only jobs that train have it

        with tempfile.TemporaryDirectory(prefix="reclens-checkpoint-") as folder:
            path = Path(folder) / "checkpoint.safetensors"
            save_file(tensors, path)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            key = f"{self._prefix}/{digest[:16]}.safetensors"
            # In parts: one request with all of it could take longer than it may.
            self._objects.put_file(key, path)
        pointer = {"key": key, "sha256": digest, "meta": meta}
        self._objects.put(f"{self._prefix}/latest.json", canonical_json(pointer))
        # Only its own: another attempt may be saving too.
        if self._current not in (None, key):
            self._objects.delete(self._current)
        self._current = key

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The latest checkpoint, or None where there is none that can be trusted."""
        try:
            pointer = json.loads(self._objects.get(f"{self._prefix}/latest.json"))
            if "key" not in pointer:
                return {}, pointer["meta"]
            # Its name is its checksum: what a pointer says must not lead elsewhere.
            digest = str(pointer["sha256"])
            key = f"{self._prefix}/{digest[:16]}.safetensors"
            data = self._objects.get(key)
        except NotFound:
            return None
        from safetensors.numpy import load  # noqa: PLC0415 - only jobs that train have it

        if sha256_hex(data) != digest:
            return None
        self._current = key
        return load(data), pointer["meta"]

    def clear(self) -> None:
        """Remove the checkpoint."""
        for key in self._objects.list(f"{self._prefix}/"):
            self._objects.delete(key)
