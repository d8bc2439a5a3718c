"""Starts a Celery worker the way RecLens needs it."""

from __future__ import annotations

import os
import platform
from typing import Literal

from celery import Celery

from reclens.contracts import QueueName


def run_worker(
    app: Celery,
    *,
    service: str,
    queues: list[QueueName],
    pool: Literal["prefork", "threads"],
    concurrency: int,
) -> None:
    """Consume ``queues`` until told to stop; blocks.

    ``prefork`` with one process is for stages that use torch: the parent never touches it, so the
    child is forked from a clean process. ``threads`` is for stages that wait for others.
    """
    app.worker_main(
        [
            "worker",
            f"--queues={','.join(queue.value for queue in queues)}",
            f"--pool={pool}",
            f"--concurrency={concurrency}",
            f"--hostname={service}-{os.getpid()}@{platform.node()}",
            "--loglevel=INFO",
            "--without-mingle",
            "--without-gossip",
        ]
    )
