"""The worker of one part, with that part's settings; what it makes is planted, and made at once.

``python planted_worker.py recommender|trainer|labeler``. The labeler is the real one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
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
    QueueName,
    RecommenderSpec,
)
from reclens.ops.deployment.access import Part
from reclens.platform.celery.app import make_app
from reclens.platform.celery.worker import run_worker
from reclens.platform.jobs.runner import JobContext, JobRunner
from reclens.platform.settings.models import WorkerSettings

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


def main(part: Part) -> None:
    settings = WorkerSettings()
    app = make_app(settings.redis)
    runner = JobRunner(app, WorkerSettings)
    trains = part is Part.TRAINER
    for spec in _STAGES:
        if (spec is AutoencoderSpec) is trains:
            runner.register(spec, "planted_worker:run")
    queue = QueueName.TRAIN if trains else QueueName.CAPTURE
    run_worker(
        app,
        settings,
        service=part.value,
        queues=[queue],
        pool="prefork",
        concurrency=1,
    )


if __name__ == "__main__":
    if Part(sys.argv[1]) is Part.LABELER:
        from reclens_labeler.main import main as label

        sys.argv[1:] = ["worker"]
        label()
    else:
        main(Part(sys.argv[1]))
