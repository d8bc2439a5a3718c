"""Entry point of the trainer: a Celery worker that trains sparse autoencoders."""

from __future__ import annotations

import argparse

from reclens.contracts import AutoencoderSpec, QueueName
from reclens.platform.celery.app import make_app
from reclens.platform.celery.worker import run_worker
from reclens.platform.jobs.runner import JobRunner
from reclens.platform.observability.logs import configure_logging
from reclens.platform.settings.models import WorkerSettings


def main() -> None:
    """Parse the command line and consume until told to stop."""
    parser = argparse.ArgumentParser(prog="reclens-trainer", description=__doc__)
    parser.add_subparsers(dest="command", required=True).add_parser(
        "worker", help="consume training jobs until told to stop"
    )
    parser.parse_args()
    configure_logging("trainer")
    settings = WorkerSettings()
    app = make_app(settings.redis)
    runner = JobRunner(app, WorkerSettings)
    runner.register(AutoencoderSpec, "reclens_trainer.stages.train:run")
    run_worker(
        app, settings, service="trainer", queues=[QueueName.TRAIN], pool="prefork", concurrency=1
    )
