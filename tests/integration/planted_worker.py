"""The worker of one part, with that part's settings; what it makes is planted, and made at once.

``python planted_worker.py recommender|trainer|labeler``. The labeler is the real one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from planted_artifacts import write_planted
from planted_world import planted_world

from reclens.contracts import (
    AutoencoderSpec,
    CaptureSpec,
    DatasetSpec,
    JobSpec,
    Progress,
    RecommenderSpec,
    WorkerName,
)
from reclens.platform.celery.worker import run_worker
from reclens.platform.jobs.context import JobContext

_STAGES = {
    DatasetSpec: "dataset",
    RecommenderSpec: "recommender",
    CaptureSpec: "activations",
    AutoencoderSpec: "autoencoder",
}


class Steps:
    """Three steps with a checkpoint after each."""

    def __init__(self) -> None:
        self.step = 0

    def steps(self) -> Iterator[Progress]:
        while self.step < 3:
            self.step += 1
            yield Progress(stage="steps", step=self.step, total=3)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return {"value": np.arange(self.step)}, {"step": self.step}

    def restore(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        raise AssertionError("nothing is cut")


def run(spec: JobSpec, job: JobContext) -> dict[str, Any]:
    job.drive(Steps())
    write_planted(planted_world(), _STAGES[type(spec)], job.folder)
    for path in sorted(job.folder.iterdir()):
        job.add(path)
    return {}


def main(worker: WorkerName) -> None:
    kinds = [
        replace(kind, stage="planted_worker:run")
        for kind in (spec.JOB for spec in _STAGES)
        if kind.owner is worker
    ]
    run_worker(worker, pool="prefork", concurrency=1, kinds=kinds)


if __name__ == "__main__":
    if WorkerName(sys.argv[1]) is WorkerName.LABELER:
        from reclens_labeler.main import main as label

        sys.argv[1:] = ["worker"]
        label()
    else:
        main(WorkerName(sys.argv[1]))
