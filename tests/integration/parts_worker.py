"""A worker with one stage that makes its objects part by part, and behaves as its name says."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reclens.contracts import DatasetSpec, Progress, WorkerName
from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.platform.celery.worker import run_worker
from reclens.platform.jobs.context import JobContext

FOLDER = Path(os.environ.get("COUNTING_FOLDER", "."))
PARTS = 10


class Parts:
    """Adds an object in each step."""

    def __init__(self, name: str, job: JobContext) -> None:
        self.name = name
        self.job = job
        self.done = 0
        self.begun = 0

    def steps(self) -> Iterator[Progress]:
        while self.done < PARTS:
            path = self.job.folder / f"part-{self.done}"
            path.write_bytes(bytes([self.done]) * 1000)
            self.job.add(path)
            self.misbehave()
            self.done += 1
            yield Progress(stage="parts", step=self.done, total=PARTS)

    def misbehave(self) -> None:
        if self.name.startswith("poison") or (self.name.startswith("killed") and self.begun == 2):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name.startswith("full") and (FOLDER / f"{self.name}.full").exists():
            raise OSError(errno.ENOSPC, "No space left on device", "/tmp/scratch/part")
        if self.name.startswith("stopped"):
            (FOLDER / f"{self.name}.at-{self.done}").touch()
            while not self.job.stopping.is_set() and not (FOLDER / f"{self.name}.go").exists():
                time.sleep(0.01)
        self.begun += 1

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {}, {"done": self.done}

    def restore(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        self.done = meta["done"]


def run(spec: DatasetSpec, job: JobContext) -> dict[str, Any]:
    with (FOLDER / f"{spec.name}.runs").open("a") as file:
        file.write("run\n")
    job.drive(Parts(spec.name, job))
    return {}


if __name__ == "__main__":
    run_worker(
        WorkerName.RECOMMENDER,
        pool="prefork",
        concurrency=1,
        kinds=[replace(DATASET_IMPORT, stage="parts_worker:run")],
    )
