"""A worker with one tiny stage, so that the machinery around stages can be put to the test.

The behaviour is chosen by the data set's name; ``FOLDER`` holds marker files for hand-shakes.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from celery.signals import worker_ready

from reclens.contracts import DatasetSpec, Progress, WorkerName
from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.errors import InvalidInput, StaleCheckpoint, Unavailable
from reclens.platform.celery.worker import run_worker
from reclens.platform.jobs.context import JobContext

FOLDER = Path(os.environ.get("COUNTING_FOLDER", "."))
STEPS = 200
NO_THREAD = "can't start new thread"
FAULTY_STEPS = range(20, 200, 20)


class Chain:
    """Hashes itself onwards: any lost or repeated step gives another end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.step = 0
        self.value = np.frombuffer(hashlib.sha256(b"start").digest(), np.uint8)

    def steps(self) -> Iterator[Progress]:
        while self.step < STEPS:
            self.value = np.frombuffer(hashlib.sha256(self.value.tobytes()).digest(), np.uint8)
            self.step += 1
            self.misbehave()
            yield Progress(stage="count", step=self.step, total=STEPS)

    def misbehave(self) -> None:
        if self.name.startswith(("killed-once", "stale")) and self.step == 120:
            marker = FOLDER / self.name
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if self.name.startswith("poison"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name.startswith("memory-short"):
            raise MemoryError
        for fault in ("memory-once", "threads-once"):
            marker = FOLDER / self.name
            if self.name.startswith(fault) and self.step == 120 and not marker.exists():
                marker.touch()
                raise MemoryError if fault == "memory-once" else RuntimeError(NO_THREAD)
        if self.name.startswith("advances") and self.step in FAULTY_STEPS:
            marker = FOLDER / f"{self.name}.{self.step}"
            if not marker.exists():
                marker.touch()
                raise StaleCheckpoint("it has to be tried again.")
        if self.name.startswith("waits") and self.step == 50:
            (FOLDER / f"{self.name}.waiting").touch()
            while not (FOLDER / f"{self.name}.go").exists():
                time.sleep(0.01)
        if self.name.startswith("endless"):
            (FOLDER / f"{self.name}.running").touch()
            self.step = min(self.step, STEPS - 1)
            time.sleep(0.01)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"value": self.value}, {"step": self.step}

    def restore(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        if self.name.startswith("stale") and not (FOLDER / f"{self.name}.refused").exists():
            (FOLDER / f"{self.name}.refused").touch()
            raise RuntimeError("weights of another shape")
        self.value, self.step = tensors["value"], meta["step"]
        with (FOLDER / f"{self.name}.resumed").open("a") as file:
            file.write(f"{self.step}\n")


def run(spec: DatasetSpec, job: JobContext) -> dict[str, Any]:
    with (FOLDER / f"{spec.name}.runs").open("a") as file:
        file.write("run\n")
    if spec.name.startswith("fails"):
        (job.folder / "half").write_bytes(b"half")
        job.add(job.folder / "half")
        raise InvalidInput("the third row is odd.", field="rows[2]", remedy="make it even.")
    if spec.name.startswith("flaky") and not (FOLDER / spec.name).exists():
        (FOLDER / spec.name).touch()
        raise Unavailable("the store is having a moment.")
    if spec.name.startswith("crawls"):
        crawl(spec.name, job)
    if spec.name.startswith("hangs"):
        hang(spec.name, job)
    trainer = Chain(spec.name)
    job.drive(trainer)
    (job.folder / "value").write_bytes(trainer.value.tobytes())
    job.add(job.folder / "value")
    return {"value": trainer.value.tobytes().hex()}


def crawl(name: str, job: JobContext) -> None:
    """Work without checkpoints that is killed five times, each time a little further on."""
    marker = FOLDER / f"{name}.killed"
    killed = len(marker.read_text()) if marker.exists() else 0
    for step in range(1, 8):
        job.progress(Progress(stage="crawl", step=step, total=7))
        if step == killed + 2 and killed < 5:
            marker.write_text("x" * (killed + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(1.05)  # longer than between two notes of progress


def hang(name: str, job: JobContext) -> None:
    """A deadlock, the first time."""
    marker = FOLDER / f"{name}.hung"
    job.progress(Progress(stage="hang", step=1, total=2))
    if not marker.exists():
        marker.touch()
        threading.Event().wait()


def stick(consumer: Any) -> None:
    """Hold the worker's event loop while the marker is there."""

    def hold() -> None:
        while (FOLDER / "stick").exists():
            time.sleep(0.01)

    consumer.hub.call_repeatedly(0.1, hold)


if __name__ == "__main__":
    worker_ready.connect(lambda sender, **_: stick(sender), weak=False)
    run_worker(
        WorkerName.RECOMMENDER,
        pool=os.environ.get("COUNTING_POOL", "prefork"),  # type: ignore[arg-type]
        concurrency=int(os.environ.get("COUNTING_JOBS", "2")),
        kinds=[replace(DATASET_IMPORT, stage="counting_worker:run")],
    )
