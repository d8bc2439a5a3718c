"""Starts a Celery worker the way RecLens needs it."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from celery.backends.redis import RedisBackend
from celery.signals import worker_process_init

from reclens.contracts import JobKind, WorkerName, job_kinds
from reclens.platform.celery.failure_detector import unacked_keys, unique_name
from reclens.platform.celery.redis_transport import use_our_transport
from reclens.platform.celery.watchdog import EXIT_CODE, Watchdog
from reclens.platform.jobs.app import make_app
from reclens.platform.jobs.outages import REFUSALS
from reclens.platform.jobs.runner import JobRunner
from reclens.platform.observability.job_metrics import serve_job_metrics
from reclens.platform.observability.logs import configure_logging
from reclens.platform.scrubbing import scrub
from reclens.platform.settings.models import WorkerSettings

Pool = Literal["prefork", "threads"]
"""``prefork`` with one process is for stages that use torch: the parent never touches it, so the
child is forked from a clean process. ``threads`` is for stages that wait for others."""


class Results(RedisBackend):
    """What Celery keeps of a job, its error and traceback included, without secrets."""

    PATH: Final = f"{__name__}:Results"

    def encode(self, data: Any) -> Any:
        """``data`` as it is kept."""
        encoded: Any = super().encode(data)
        return scrub(encoded)


def worker_main(owner: WorkerName, description: str | None, pool: Pool, concurrency: int) -> None:
    """Entry point of a service that is a worker and nothing else: ``reclens-{owner} worker``."""
    parser = argparse.ArgumentParser(prog=f"reclens-{owner.value}", description=description)
    parser.add_subparsers(dest="command", required=True).add_parser(
        "worker", help="take jobs until told to stop"
    )
    parser.parse_args()
    run_worker(owner, pool, concurrency)


def run_worker(
    owner: WorkerName, pool: Pool, concurrency: int, kinds: Sequence[JobKind] | None = None
) -> None:
    """Consume the queues of ``kinds`` until told to stop; blocks.

    Args:
        owner: the worker.
        pool: of Celery.
        concurrency: jobs that it runs at once.
        kinds: what it runs. None: all that are declared to be its own.

    Raises:
        SystemExit: the worker failed, or ended itself because it no longer consumed.
    """
    configure_logging(owner.value)
    settings = WorkerSettings()
    app = make_app(settings.redis)
    name = unique_name(owner.value)
    runner = JobRunner(app, WorkerSettings, worker=name)
    if kinds is None:
        kinds = [kind for kind in job_kinds().values() if kind.owner is owner]
    for kind in kinds:
        runner.register(kind)
    queues = sorted({kind.queue.value for kind in kinds})
    use_our_transport()
    app.loader.override_backends = {"redis": Results.PATH, "rediss": Results.PATH}
    # However long Redis is away or full, a job waits for it with its result: nobody else could take
    # it up meanwhile. Those who submit jobs are told at once instead.
    app.conf.result_backend_transport_options |= {
        "retry_policy": {"max_retries": None},
        "additional_connection_errors": REFUSALS,
    }
    app.conf.broker_transport_options |= {"client_name": name, **unacked_keys(name)}
    watchdog = Watchdog(app, name, queues=queues, slots=concurrency, settings=settings)
    watchdog.attach()
    if pool == "prefork":
        # Jobs run in a child; a new one takes the address of the one that died.
        worker_process_init.connect(lambda **_: _serve_metrics(settings), weak=False)
    else:
        _serve_metrics(settings)
    runner.on_exhausted = watchdog.give_up
    # Not Celery's command, which does not tell how the worker ended.
    worker = app.Worker(
        queues=queues,
        pool=pool,
        concurrency=concurrency,
        hostname=f"{owner.value}-{os.getpid()}@{platform.node()}",
        loglevel="INFO",
        without_mingle=True,
        without_gossip=True,
    )
    try:
        worker.start()
    finally:
        watchdog.leave()
    if watchdog.gave_up:
        sys.exit(EXIT_CODE)
    if worker.exitcode:
        sys.exit(worker.exitcode)


def _serve_metrics(settings: WorkerSettings) -> None:
    if settings.metrics_listen:
        folders = {"cache": settings.cache_dir, "scratch": Path(tempfile.gettempdir())}
        serve_job_metrics(settings.metrics_listen, folders)
