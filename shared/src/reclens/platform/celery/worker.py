"""Starts a Celery worker the way RecLens needs it."""

from __future__ import annotations

import os
import platform
import sys
from typing import Literal

from celery import Celery

from reclens.contracts import QueueName
from reclens.platform.celery.failure_detector import keys_of, new_worker
from reclens.platform.celery.redis_transport import use_our_transport
from reclens.platform.celery.watchdog import EXIT_CODE, Heartbeat
from reclens.platform.settings.models import WorkerSettings


def run_worker(
    app: Celery,
    settings: WorkerSettings,
    *,
    service: str,
    queues: list[QueueName],
    pool: Literal["prefork", "threads"],
    concurrency: int,
) -> None:
    """Consume ``queues`` until told to stop; blocks.

    ``prefork`` with one process is for stages that use torch: the parent never touches it, so the
    child is forked from a clean process. ``threads`` is for stages that wait for others.

    Raises:
        SystemExit: the worker failed, or ended itself because it no longer consumed.
    """
    worker = new_worker(service)
    use_our_transport()
    # However long Redis is away, a job waits for it with its result: nobody else could take it up
    # meanwhile. Those who submit jobs are told at once instead.
    app.conf.result_backend_transport_options |= {"retry_policy": {"max_retries": None}}
    app.conf.broker_transport_options |= {"client_name": worker, **keys_of(worker)}
    heartbeat = Heartbeat(
        app,
        worker,
        queues=queues,
        slots=concurrency,
        redis=settings.redis,
        settings=settings.heartbeat,
    )
    heartbeat.attach()
    try:
        code = app.start(
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
    finally:
        heartbeat.leave()
    if heartbeat.gave_up:
        sys.exit(EXIT_CODE)
    if code:
        sys.exit(code)
