"""Checkpoints of running jobs: tensors in safetensors, the rest in JSON, the pointer last."""

from __future__ import annotations

import json
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

    def save(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Replace the checkpoint. A crash in between leaves the one before in force."""
        if not tensors:
            # A state that is JSON alone lies in the pointer.
            self._objects.put(f"{self._prefix}/latest.json", canonical_json({"meta": meta}))
            return
        from safetensors.numpy import save  # noqa: PLC0415 - only jobs that train have it

        data = save(tensors)
        digest = sha256_hex(data)
        key = f"{self._prefix}/{digest[:16]}.safetensors"
        self._objects.put(key, data)
        pointer = {"key": key, "sha256": digest, "meta": meta}
        self._objects.put(f"{self._prefix}/latest.json", canonical_json(pointer))
        for other in self._objects.list(f"{self._prefix}/"):
            if other not in (key, f"{self._prefix}/latest.json"):
                self._objects.delete(other)

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The latest checkpoint, or None where there is none that can be trusted."""
        try:
            pointer = json.loads(self._objects.get(f"{self._prefix}/latest.json"))
            if "key" not in pointer:
                return {}, pointer["meta"]
            data = self._objects.get(pointer["key"])
        except NotFound:
            return None
        from safetensors.numpy import load  # noqa: PLC0415 - only jobs that train have it

        if sha256_hex(data) != pointer["sha256"]:
            return None
        return load(data), pointer["meta"]

    def clear(self) -> None:
        """Remove the checkpoint."""
        for key in self._objects.list(f"{self._prefix}/"):
            self._objects.delete(key)
