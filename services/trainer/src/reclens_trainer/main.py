"""Entry point of the trainer: a Celery worker that trains sparse autoencoders."""

from __future__ import annotations

from reclens.contracts import WorkerName
from reclens.platform.celery.worker import worker_main


def main() -> None:
    """Parse the command line and consume until told to stop."""
    worker_main(WorkerName.TRAINER, __doc__, pool="prefork", concurrency=1)
