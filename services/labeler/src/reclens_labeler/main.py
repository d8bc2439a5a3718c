"""Entry point of the labeler: a Celery worker that labels latents and conducts pipelines."""

from __future__ import annotations

from reclens.contracts import WorkerName
from reclens.platform.celery.worker import worker_main


def main() -> None:
    """Parse the command line and consume until told to stop."""
    worker_main(WorkerName.LABELER, __doc__, pool="threads", concurrency=4)
