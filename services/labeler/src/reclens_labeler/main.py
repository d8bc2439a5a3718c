"""Entry point of the labeler: a Celery worker that labels latents and conducts pipelines."""

from __future__ import annotations

import argparse

from reclens.contracts import ConceptCorrectionsSpec, QueueName
from reclens.platform.celery.app import make_app
from reclens.platform.celery.worker import run_worker
from reclens.platform.jobs.runner import JobRunner
from reclens.platform.observability.logs import configure_logging
from reclens.platform.settings.models import WorkerSettings
from reclens_labeler.conductor import CORRECTION_STAGE, Conductor
from reclens_labeler.fanout import FanOut

_THREADS = 4


def main() -> None:
    """Parse the command line and consume until told to stop."""
    parser = argparse.ArgumentParser(prog="reclens-labeler", description=__doc__)
    parser.add_subparsers(dest="command", required=True).add_parser(
        "worker", help="consume labelling and pipeline jobs until told to stop"
    )
    parser.parse_args()
    configure_logging("labeler")
    settings = WorkerSettings()
    app = make_app(settings.redis)
    runner = JobRunner(app, WorkerSettings)
    FanOut(app, runner).register()
    runner.register(ConceptCorrectionsSpec, CORRECTION_STAGE)
    Conductor(app, runner).register()
    run_worker(
        app,
        settings,
        service="labeler",
        queues=[QueueName.LABEL, QueueName.PIPELINE],
        pool="threads",
        concurrency=_THREADS,
    )
