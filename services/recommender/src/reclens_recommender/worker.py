"""The Celery worker: imports data, trains recommenders, captures activations, evaluates."""

from __future__ import annotations

from reclens.adapters.celery_app import make_app
from reclens.adapters.jobs import JobRunner
from reclens.adapters.logs import configure_logging
from reclens.adapters.settings import WorkerSettings
from reclens.adapters.worker import run_worker
from reclens.contracts import CaptureSpec, DatasetSpec, EvaluationSpec, QueueName, RecommenderSpec

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
