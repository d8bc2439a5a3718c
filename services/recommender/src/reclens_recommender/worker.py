"""The Celery worker: imports data, trains recommenders, captures activations, evaluates."""

from __future__ import annotations

from reclens.contracts import CaptureSpec, DatasetSpec, EvaluationSpec, QueueName, RecommenderSpec
from reclens.platform.celery.app import make_app
from reclens.platform.celery.worker import run_worker
from reclens.platform.jobs.runner import JobRunner
from reclens.platform.observability.logs import configure_logging
from reclens.platform.settings.models import WorkerSettings

_STAGES = "reclens_recommender.stages"


def run() -> None:
    """Consume until told to stop."""
    configure_logging("recommender")
    settings = WorkerSettings()
    app = make_app(settings.redis)
    runner = JobRunner(app, WorkerSettings)
    runner.register(DatasetSpec, f"{_STAGES}.dataset:run")
    runner.register(RecommenderSpec, f"{_STAGES}.train:run")
    runner.register(CaptureSpec, f"{_STAGES}.capture:run")
    runner.register(EvaluationSpec, f"{_STAGES}.evaluate:run")
    run_worker(
        app,
        settings,
        service="recommender",
        queues=[QueueName.CAPTURE],
        pool="prefork",
        concurrency=1,
    )
