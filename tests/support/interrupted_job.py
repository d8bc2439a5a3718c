"""A stage that is left at its steps and taken up again, with folders in place of the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.numpy import load, save

from reclens.contracts import Progress
from reclens.platform.jobs.context import Requeue
from reclens.platform.settings.models import WorkerSettings


class InterruptedJob:
    """A job that is left whenever it has got so far, as when its worker is told to stop.

    Args:
        store: artifacts, for reading.
        folder: for scratch files.
        leave_after: checkpoints of one attempt that differ from the one before; 0: it is never
            left.
    """

    def __init__(self, store: Any, folder: Path, leave_after: int = 0) -> None:
        self.store = store
        self.folder = folder
        self.settings = WorkerSettings.model_validate(
            {"device": "cpu", "data": {"roots": str(folder.parent)}}
        )
        self.objects: dict[str, bytes] = {}
        self.seconds = 0.0
        self.metrics: dict[str, Any] = {}
        self.attempts = 0
        self.added: list[str] = []
        self._leave_after = leave_after
        self._saved: tuple[bytes, str, dict[str, bytes]] | None = None
        folder.mkdir(parents=True)

    def run(self, stage: Callable[[Any, Any], dict[str, Any]], spec: Any) -> dict[str, Any]:
        """The stage's metrics, after as many attempts as it takes; 50 at most."""
        while self.attempts < 50:
            self.attempts += 1
            # What was added after the last checkpoint is not there for the next attempt.
            self.objects = dict(self._saved[2]) if self._saved else {}
            try:
                return stage(spec, self)
            except Requeue:
                continue
        raise AssertionError("it gets no further")

    def add(self, path: Path, name: str | None = None) -> None:
        self.added.append(name or path.name)
        self.objects[name or path.name] = path.read_bytes()

    def computes_on(self, device: str) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        pass

    def drive(self, trainer: Any) -> None:
        if self._saved is not None:
            trainer.restore(load(self._saved[0]), json.loads(self._saved[1]))
        before, advanced = _fingerprint(trainer), 0
        for _ in trainer.steps():
            tensors, meta = trainer.state()
            self._saved = save(tensors), json.dumps(meta), dict(self.objects)
            now = _fingerprint(trainer)
            advanced, before = advanced + (now != before), now
            if advanced == self._leave_after > 0:
                raise Requeue


def _fingerprint(trainer: Any) -> tuple[str, dict[str, bytes]]:
    tensors, meta = trainer.state()
    return json.dumps(meta), {name: tensor.tobytes() for name, tensor in tensors.items()}
