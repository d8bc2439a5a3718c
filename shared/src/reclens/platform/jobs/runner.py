"""Runs a job: at most one worker at a time, at most once, resumed where it was cut.

A stage is a function ``run(spec, job) -> metrics``. Around it stands everything that all stages
share: parsing, reuse of what exists, lease, retries, dead letters and the commit.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import structlog
from celery import Celery, Task
from celery.exceptions import Ignore, TaskPredicate
from celery.signals import worker_shutting_down
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from reclens.contracts import FailureReport, JobResult, JobSpec, TaskName, canonical_json
from reclens.errors import (
    InternalError,
    JobCancelled,
    LeaseLost,
    Poisoned,
    RecLensError,
    Unavailable,
)
from reclens.platform.jobs.context import JobContext, Paused, Runtime, ancestors, deliveries_key
from reclens.platform.jobs.lease import Lease
from reclens.platform.jobs.retries import backoff, wait_patiently
from reclens.platform.settings.models import WorkerSettings
from reclens.platform.store.artifacts import ArtifactWriter

__all__ = ["JobContext", "JobRunner", "Stage"]

SpecT = TypeVar("SpecT", bound=JobSpec)
Stage = Callable[[SpecT, JobContext], dict[str, Any]]
"""Makes the objects of an artifact and returns the manifest's metrics."""
Action = Callable[[Task, dict[str, Any]], dict[str, Any]]
"""What a task does with its payload; returns the result, or replaces the task."""

_LEASE_RETRY_SECONDS = 3.0
# Between two looks whether Redis is back.
_REDIS_SECONDS = 0.5
# Characters of a report: a result is no place for large payloads.
_MAX_MESSAGE, _MAX_TRACEBACK = 1000, 4000

_log = structlog.get_logger(__name__)


class _Busy(Exception):
    """Another worker holds the lease: a signal from `_make` to `guard`."""


class JobRunner:
    """Registers tasks with a Celery application and runs them.

    Args:
        app: application of the worker.
        settings: makes the worker's settings. Called in the process that runs the first job,
            after the fork: clients made before one do not work after it.
    """

    def __init__(self, app: Celery, settings: Callable[[], WorkerSettings]) -> None:
        self._app = app
        self._settings = settings
        self._lock = threading.Lock()
        self._runtime: Runtime | None = None
        # Set in the parent when the worker is told to stop, seen by the children of its pool.
        self._stopping = multiprocessing.Event()
        worker_shutting_down.connect(lambda **_: self._stopping.set(), weak=False)

    @property
    def runtime(self) -> Runtime:
        """Clients of this process, made at first use."""
        with self._lock:
            if self._runtime is None:
                self._runtime = Runtime(self._settings(), self._app, self._stopping)
            return self._runtime

    def register(self, spec_type: type[SpecT], stage: str, *, part: bool = False) -> None:
        """Register the task that makes the artifact of ``spec_type``.

        Args:
            spec_type: what the payload must be.
            stage: ``package.module:function``, a `Stage`; imported at the first job.
            part: see `register_action`.
        """

        def make(task: Task, payload: dict[str, Any]) -> dict[str, Any]:
            return self.make(task, spec_type.parse(payload), stage)

        self.register_action(spec_type.TASK, make, part=part)

    def register_action(self, name: TaskName, action: Action, *, part: bool = False) -> None:
        """Register a task that makes no artifact: it is noted, and retried, but takes no lease.

        Args:
            name: of the task.
            action: what it does.
            part: a task of a chord's header. One that fails would break the chord; so it returns
                ``{"failed": FailureReport}``, for the body to see.
        """

        @self._app.task(name=name.value, bind=True)
        def _task(self_: Task, spec: dict[str, Any]) -> dict[str, Any]:
            if not part:
                return self._guard(self_, spec, action)
            try:
                return self._guard(self_, spec, action)
            except TaskPredicate:
                raise  # sent again, or replaced
            except Exception as error:  # noqa: BLE001 - whatever it is, the body must learn of it
                return {"failed": _report(error).canonical()}

    def make(self, task: Task, spec: JobSpec, stage: str) -> dict[str, Any]:
        """Make the artifact of ``spec``, or find it, or send the job again for later.

        Args:
            task: that is being run.
            spec: of the artifact.
            stage: as for `register`.

        Returns:
            A `JobResult` as JSON.
        """
        module, function = stage.split(":")
        run = getattr(importlib.import_module(module), function)
        return self._make(task, spec, run).canonical()

    def found(self, ref: str) -> JobResult | None:
        """The result of a job whose artifact exists already; None where it does not."""
        store = self.runtime.store
        if not store.exists(ref):
            return None
        metrics = store.manifest(ref).metrics
        return JobResult(artifact=ref, reused=True, seconds=0.0, metrics=metrics)

    def _guard(self, task: Task, payload: dict[str, Any], action: Action) -> dict[str, Any]:
        request, job_id = task.request, str(task.request.id)
        with structlog.contextvars.bound_contextvars(job_id=job_id, task=task.name):
            try:
                joblog = self.runtime.joblog
                is_stage = request.root_id not in (None, job_id)
                joblog.record(job_id, str(task.name), payload, listed=not is_stage)
                joblog.started(job_id)
                if joblog.cancelled(*ancestors(task)):
                    raise JobCancelled("cancelled before it started.")
                return action(task, payload)
            except Paused:
                self._send_again(task, countdown=0)
            except _Busy:
                self._send_again(
                    task, countdown=min(_LEASE_RETRY_SECONDS, self.runtime.longest_countdown)
                )
            except (RedisConnectionError, RedisTimeoutError) as error:
                raise self._retry(task, error) from error
            except RecLensError as error:
                if error.patient:
                    countdown = wait_patiently(task, self.runtime, error)
                    self._send_again(task, countdown=countdown)
                    raise Ignore from error
                if error.retryable:
                    raise self._retry(task, error) from error
                _log.warning("job.failed", reason=error.reason, error=error.sentence)
                raise
        raise Ignore

    def _make(self, task: Task, spec: SpecT, run: Stage[SpecT]) -> JobResult:
        ref, runtime = spec.artifact_ref(), self.runtime
        structlog.contextvars.bind_contextvars(artifact=ref)
        if (found := self.found(ref)) is not None:
            return found
        with Lease(runtime.redis, ref, runtime.settings.lease_seconds) as lease:
            if not lease.acquire():
                raise _Busy
            # Whoever held the lease before may have committed meanwhile.
            if (found := self.found(ref)) is not None:
                return found
            self._count_delivery(task, spec)
            try:
                for input_ref in spec.input_refs().values():
                    runtime.store.manifest(input_ref)
                return self._run(task, spec, run, lease)
            finally:
                # Only deliveries that killed the worker are left to count.
                with contextlib.suppress(RedisError):
                    runtime.redis.delete(deliveries_key(ref))

    def _run(self, task: Task, spec: SpecT, run: Stage[SpecT], lease: Lease) -> JobResult:
        writer = ArtifactWriter(self.runtime.store, spec)
        folder = Path(tempfile.mkdtemp(prefix="reclens-job-"))
        job = JobContext(task, self.runtime, lease=lease, writer=writer, folder=folder)
        try:
            _log.info("job.started")
            result = job.finish(run(spec, job))
            _log.info("job.finished", seconds=result.seconds)
            return result
        except (Paused, LeaseLost):
            raise
        except Exception:
            with contextlib.suppress(Unavailable):
                writer.discard()
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _count_delivery(self, task: Task, spec: JobSpec) -> None:
        runtime, limit = self.runtime, self.runtime.settings.max_deliveries
        key = deliveries_key(spec.artifact_ref())
        deliveries = int(runtime.redis.incr(key))  # type: ignore[arg-type]
        runtime.redis.expire(key, runtime.settings.redis.result_expires_seconds)
        if deliveries <= limit:
            return
        runtime.redis.delete(key)
        letter = {"job_id": task.request.id, "task": task.name, "spec": spec.canonical()}
        runtime.store.objects.put(f"dead-letters/{task.request.id}.json", canonical_json(letter))
        raise Poisoned(
            f"the job killed its worker {limit} times without progress.",
            field="spec",
            remedy=f"see dead-letters/{task.request.id}.json and the worker's log (memory?).",
        )

    def _retry(self, task: Task, error: Exception) -> Exception:
        """The retry to raise, with exponential back-off and jitter; the error itself at the end."""
        self._await_redis()
        countdown = backoff(task.request.retries, self.runtime.longest_countdown)
        return task.retry(
            exc=error, countdown=countdown, max_retries=self._settings().max_retries, throw=False
        )

    def _send_again(self, task: Task, countdown: float) -> None:
        """Send the same job again, with what is chained to it, without counting a retry."""
        self._await_redis()
        signature = task.signature_from_request(
            task.request,
            task.request.args,
            task.request.kwargs,
            countdown=countdown,
            retries=task.request.retries,
        )
        assert signature is not None
        signature.apply_async()

    def _await_redis(self) -> None:
        """Return when Redis answers. A message that cannot be sent would be lost with its job."""
        while True:
            try:
                self.runtime.redis.ping()
                return
            except (RedisConnectionError, RedisTimeoutError):
                time.sleep(_REDIS_SECONDS)


def _report(error: Exception) -> FailureReport:
    if not isinstance(error, RecLensError):
        _log.error("job.failed", error=repr(error), exc_info=error)
    message = error.message if isinstance(error, RecLensError) else str(error)
    return FailureReport(
        reason=getattr(error, "reason", InternalError.reason),
        type=type(error).__name__,
        message=message[:_MAX_MESSAGE],
        field=getattr(error, "field", ""),
        remedy=getattr(error, "remedy", ""),
        retryable=getattr(error, "retryable", False),
        traceback="".join(traceback.format_exception(error))[-_MAX_TRACEBACK:],
    )
