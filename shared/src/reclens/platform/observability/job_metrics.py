"""Prometheus metrics of a worker: of the process that runs its jobs. Until `serve_job_metrics`,
nothing is counted.

No label takes what a job says: tasks are those that are registered, reasons those of our errors.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from celery.signals import task_failure, task_postrun, task_prerun
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    gc_collector,
    platform_collector,
    process_collector,
    start_http_server,
)

from reclens.errors import (
    CorruptArtifact,
    LeaseLost,
    Poisoned,
    RecLensError,
    StoreRefused,
    Unavailable,
)

_SECONDS: Final = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
# What Celery calls how a task was left; of a failure it is the error that tells.
_OUTCOMES: Final = {
    "SUCCESS": "succeeded", "FAILURE": "failed", "RETRY": "sent_again", "IGNORED": "sent_again",
    "REJECTED": "sent_again",
}  # fmt: skip
_log = structlog.get_logger(__name__)


class JobMetrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        process_collector.ProcessCollector(registry=registry)
        platform_collector.PlatformCollector(registry=registry)
        gc_collector.GCCollector(registry=registry)
        counter: Any = partial(Counter, registry=registry)
        gauge: Any = partial(Gauge, registry=registry)
        self.jobs: Histogram = Histogram(
            "reclens_job_seconds",
            "Time from taking a job up to leaving it, by how it was left.",
            ["task", "outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.running: Gauge = gauge("reclens_jobs_running", "Jobs under way.")
        self.faults: Counter = counter(
            "reclens_job_faults", "Errors of jobs, those that are tried again included.", ["reason"]
        )
        self.store_faults: Counter = counter(
            "reclens_store_faults",
            "Times that the store did not do what it was asked to.",
            ["reason"],
        )
        self.leases_lost: Counter = counter(
            "reclens_leases_lost", "Jobs that another worker may have taken over."
        )
        self.dead_letters: Counter = counter(
            "reclens_dead_letters", "Jobs given up, as they killed their workers."
        )
        self.advanced: Gauge = gauge(
            "reclens_job_advanced_timestamp_seconds",
            "When a job last said how far it is; 0 while none runs.",
        )
        self.checkpoint: Gauge = gauge(
            "reclens_job_checkpoint_timestamp_seconds",
            "When a training last saved a checkpoint, or began; 0 while none runs.",
        )
        self.disk: Gauge = gauge("reclens_disk_free_bytes", "Room where it is.", ["folder"])


_metrics: JobMetrics | None = None
_started: dict[str, float] = {}


def serve_job_metrics(listen: str, folders: dict[str, Path]) -> Callable[[], None]:
    """Begin to count, and answer ``GET /metrics`` at ``host:port`` on a thread of this process.

    Where the address is taken, it is logged and nothing is answered: jobs are worth more.

    Args:
        listen: address.
        folders: whose disks are told, by name.

    Returns:
        What stops it.
    """
    global _metrics  # noqa: PLW0603
    metrics = _metrics = JobMetrics()
    for name, folder in folders.items():
        metrics.disk.labels(name).set_function(partial(_free_bytes, folder))
    task_prerun.connect(_began, weak=False, dispatch_uid=_began)
    task_failure.connect(_failed, weak=False, dispatch_uid=_failed)
    task_postrun.connect(_left, weak=False, dispatch_uid=_left)
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), metrics.registry)
    except (OSError, ValueError, OverflowError) as error:
        _log.warning("metrics.not_served", listen=listen, error=str(error))
        return lambda: None

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def observe_fault(error: BaseException) -> None:
    """A job has met an error, for good or to be tried again."""
    if _metrics is None or not isinstance(error, RecLensError):
        return
    _metrics.faults.labels(error.reason).inc()
    of_store = isinstance(error, Unavailable) and error.field.startswith("s3")
    if of_store or isinstance(error, StoreRefused | CorruptArtifact):
        _metrics.store_faults.labels(error.reason).inc()
    if isinstance(error, LeaseLost):
        _metrics.leases_lost.inc()


def observe_progress() -> None:
    """A job has said how far it is."""
    if _metrics is not None:
        _metrics.advanced.set(time.time())


def observe_checkpoint(*, over: bool = False) -> None:
    """A training begins, or has saved a checkpoint; or it is over, so that it needs none."""
    if _metrics is not None:
        _metrics.checkpoint.set(0 if over else time.time())


def _began(task_id: str, **_more: Any) -> None:
    if _metrics is not None:
        _started[task_id] = time.monotonic()
        _metrics.running.set(len(_started))
        observe_progress()


def _failed(exception: BaseException, **_more: Any) -> None:
    if _metrics is not None and isinstance(exception, Poisoned):
        _metrics.dead_letters.inc()


def _left(task_id: str, task: Any, state: str | None = None, **_more: Any) -> None:
    began = _started.pop(task_id, None)
    if _metrics is None or began is None:
        return
    outcome = _OUTCOMES.get(state or "", "other")
    _metrics.jobs.labels(task.name, outcome).observe(time.monotonic() - began)
    _metrics.running.set(len(_started))
    if not _started:
        _metrics.advanced.set(0)
        observe_checkpoint(over=True)


def _free_bytes(folder: Path) -> float:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
