"""Checkpoints of running jobs: tensors in safetensors, the rest in JSON, the pointer last."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reclens.contracts import canonical_json, object_key, sha256_hex
from reclens.errors import CorruptArtifact, NotFound
from reclens.platform.store.artifacts import MANIFEST

if TYPE_CHECKING:
    import numpy as np

    from reclens.platform.store.objects import ObjectStore

# Gone, or nothing that `save` writes: others may write to the store.
_MAX_POINTER_BYTES = 16 << 20  # with the trainer's state but for its tensors
_NO_POINTER = (NotFound, CorruptArtifact, ValueError, KeyError, TypeError, RecursionError)


class CheckpointStore:
    """The latest checkpoint of one artifact in the making, below ``checkpoints/{kind}/{id}/``."""

    def __init__(self, objects: ObjectStore, ref: str) -> None:
        self._objects = objects
        self._ref = ref
        self._prefix = f"checkpoints/{ref}"
        self._current: str | None = None
        self._state: str | None = None

    def save(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> bool:
        """Replace the checkpoint. A crash in between leaves the one before in force.

        Args:
            tensors: of the state.
            meta: the rest of the state, under ``trainer`` where more than the state is noted.

        Returns:
            False where the state is the one that is saved already: nothing is written.
        """
        if not tensors:
            if self._state == (state := _fingerprint("", meta)):
                return False
            # A state that is JSON alone lies in the pointer.
            self._objects.put(f"{self._prefix}/latest.json", canonical_json({"meta": meta}))
            self._state = state
            return True
        from safetensors.numpy import save_file  # noqa: PLC0415 - only jobs that train have it

        with tempfile.TemporaryDirectory(prefix="reclens-checkpoint-") as folder:
            path = Path(folder) / "checkpoint.safetensors"
            save_file(tensors, path)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if self._state == (state := _fingerprint(digest, meta)):
                return False
            key = f"{self._prefix}/{digest[:16]}.safetensors"
            if key != self._current:
                # In parts: one request with all of it could take longer than it may.
                self._objects.put_file(key, path)
        pointer = {"key": key, "sha256": digest, "meta": meta}
        self._objects.put(f"{self._prefix}/latest.json", canonical_json(pointer))
        # Only its own: another attempt may be saving too.
        if self._current not in (None, key):
            self._objects.delete(self._current)
        self._current, self._state = key, state
        return True

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The latest checkpoint, or None where there is none that can be trusted."""
        try:
            pointer = self._pointer()
            if "key" not in pointer:
                self._state = _fingerprint("", pointer["meta"])
                return {}, pointer["meta"]
            # Its name is its checksum: what a pointer says must not lead elsewhere.
            digest = str(pointer["sha256"])
            key = f"{self._prefix}/{digest[:16]}.safetensors"
            data = self._objects.get(key)
        except _NO_POINTER:
            return None
        from safetensors import SafetensorError  # noqa: PLC0415 - only jobs that train have it
        from safetensors.numpy import load  # noqa: PLC0415

        if sha256_hex(data) != digest:
            return None
        try:
            tensors = load(data)
        except SafetensorError:
            return None
        self._current, self._state = key, _fingerprint(digest, pointer["meta"])
        return tensors, pointer["meta"]

    def _pointer(self) -> dict[str, Any]:
        pointer = json.loads(
            self._objects.get_document(f"{self._prefix}/latest.json", _MAX_POINTER_BYTES)
        )
        if not isinstance(pointer["meta"], dict):
            raise TypeError("a pointer without its state")
        return pointer

    def clear(self) -> None:
        """Remove the checkpoint."""
        for key in self._objects.list(f"{self._prefix}/"):
            self._objects.delete(key)
        self._current = self._state = None

    def sweep_uploads(self) -> None:
        """Remove the objects that attempts have uploaded, apart from those that the checkpoint
        names. Call it under the lease alone; of an artifact that exists nothing is removed."""
        try:
            entries = self._pointer()["meta"].get("parts", {}).get("objects", [])
            named = {object_key(self._ref, entry["attempt"], entry["name"]) for entry in entries}
        except (*_NO_POINTER, AttributeError):
            named = set()
        keys = self._objects.list(f"{self._ref}/")
        if f"{self._ref}/{MANIFEST}" not in keys:
            for key in set(keys) - named:
                self._objects.delete(key)


def _fingerprint(digest: str, meta: dict[str, Any]) -> str:
    return f"{digest}:{sha256_hex(canonical_json(meta.get('trainer', meta)))}"
