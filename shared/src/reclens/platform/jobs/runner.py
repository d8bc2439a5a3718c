"""Runs a job: at most one worker at a time, at most once, resumed where it was cut.

A stage is a function ``run(spec, job) -> metrics``. Around it stands everything that all stages
share: parsing, reuse of what exists, lease, retries, dead letters and the commit. An action is a
function ``run(spec, task, runner) -> result`` for a job that makes no artifact, or hands over to
other tasks first; it is noted and retried, but takes no lease.

Retries wait by exponential backoff with jitter. Most faults get a few within minutes; an outage of
a part that takes long to come back, such as a language model that loads, is sat out.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from celery import Celery, Task
from celery.exceptions import Ignore, TaskPredicate
from celery.signals import worker_shutting_down
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from reclens.contracts import (
    FailureReport,
    JobKind,
    JobResult,
    JobSpec,
    Waiting,
    canonical_json,
    data_paths,
)
from reclens.errors import (
    InternalError,
    JobCancelled,
    LeaseLost,
    Poisoned,
    RecLensError,
    Unavailable,
)
from reclens.platform.backoff import backoff_seconds
from reclens.platform.jobs.context import (
    JobContext,
    Requeue,
    Runtime,
    ancestors,
    deliveries_key,
    waiting_key,
)
from reclens.platform.jobs.lease import Lease
from reclens.platform.observability.job_metrics import observe_fault
from reclens.platform.scrubbing import scrub
from reclens.platform.settings.models import WorkerSettings
from reclens.platform.store.artifacts import ArtifactWriter

StageFunction = Callable[[Any, JobContext], dict[str, Any]]
"""Makes the objects of an artifact and returns the manifest's metrics."""
ActionFunction = Callable[[Any, Task, "JobRunner"], JobResult]
"""What a task does with its specification; returns the result, or replaces the task."""

_LEASE_RETRY_SECONDS = 3.0
# Between two looks whether Redis is back.
_REDIS_SECONDS = 0.5
# Characters of a report: a result is no place for large payloads.
_MAX_MESSAGE, _MAX_TRACEBACK = 1000, 4000

_log = structlog.get_logger(__name__)


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

    def register(self, kind: JobKind) -> None:
        """Register the task of a kind of job."""

        @self._app.task(name=kind.task, bind=True)
        def _task(self_: Task, spec: dict[str, Any]) -> dict[str, Any]:
            try:
                return self._guard(self_, kind, spec)
            except TaskPredicate:
                raise  # sent again, or replaced
            except Exception as error:
                if not kind.in_chord:
                    raise
                # Whatever it is, the chord's body must learn of it.
                return {"failed": failure_report(error).canonical()}

    def make(self, task: Task, spec: JobSpec) -> JobResult:
        """Make the artifact of ``spec``, or find it, or send the job again for later.

        Args:
            task: that is being run.
            spec: of the artifact.
        """
        ref, runtime = spec.artifact_ref(), self.runtime
        structlog.contextvars.bind_contextvars(artifact=ref)
        if (found := self.found(ref)) is not None:
            return found
        with Lease(runtime.redis, ref, runtime.settings.lease_seconds) as lease:
            if not lease.acquire():
                raise Requeue(_LEASE_RETRY_SECONDS)
            # Whoever held the lease before may have committed meanwhile.
            if (found := self.found(ref)) is not None:
                return found
            self._count_delivery(task, spec)
            try:
                return self._run(task, spec, lease)
            finally:
                # Only deliveries that killed the worker are left to count.
                with contextlib.suppress(RedisError):
                    runtime.redis.delete(deliveries_key(ref))

    def found(self, ref: str) -> JobResult | None:
        """The result of a job whose artifact exists already; None where it does not."""
        store = self.runtime.store
        if not store.exists(ref):
            return None
        metrics = store.manifest(ref).metrics
        return JobResult(artifact=ref, reused=True, seconds=0.0, metrics=metrics)

    def _guard(self, task: Task, kind: JobKind, payload: dict[str, Any]) -> dict[str, Any]:
        request, job_id = task.request, str(task.request.id)
        with structlog.contextvars.bound_contextvars(job_id=job_id, task=task.name):
            try:
                joblog = self.runtime.joblog
                is_stage = request.root_id not in (None, job_id)
                joblog.record(job_id, str(task.name), payload, listed=not is_stage)
                joblog.started(job_id)
                if joblog.cancelled(*ancestors(task)):
                    raise JobCancelled("cancelled before it started.")
                return self._run_kind(task, kind, payload).canonical()
            except Requeue as signal:
                countdown = min(signal.countdown, self.runtime.longest_countdown)
                self._send_again(task, countdown=countdown)
            except (RedisConnectionError, RedisTimeoutError) as error:
                raise self._retry(task, error) from error
            except RecLensError as error:
                if error.long_outage:
                    delay = delay_in_outage(task, self.runtime, error)
                    self._send_again(task, countdown=delay)
                    raise Ignore from error
                if error.retryable:
                    raise self._retry(task, error) from error
                _log.warning("job.failed", reason=error.reason, error=error.sentence)
                raise
        raise Ignore

    def _run_kind(self, task: Task, kind: JobKind, payload: dict[str, Any]) -> JobResult:
        spec = kind.spec.parse(payload)
        if kind.action is not None:
            return _function(kind.action)(spec, task, self)
        assert isinstance(spec, JobSpec), "a kind of job without an action makes artifacts"
        return self.make(task, spec)

    def _run(self, task: Task, spec: JobSpec, lease: Lease) -> JobResult:
        assert spec.JOB.stage is not None, "a kind of job that makes artifacts has a stage"
        for field, path in data_paths(spec):
            self.runtime.settings.data.admit(path, field)
        run: StageFunction = _function(spec.JOB.stage)
        writer = ArtifactWriter(self.runtime.store, spec)
        folder = Path(tempfile.mkdtemp(prefix="reclens-job-"))
        job = JobContext(task, self.runtime, lease=lease, writer=writer, folder=folder)
        try:
            writer.pin_inputs()
            _log.info("job.started")
            result = job.finish(run(spec, job))
            _log.info("job.finished", seconds=result.seconds)
            return result
        except (Requeue, LeaseLost) as left:
            observe_fault(left)
            raise
        except Exception as error:
            observe_fault(error)
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
        countdown = backoff_seconds(task.request.retries, longest=self.runtime.longest_countdown)
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


def _function(name: str) -> Callable[..., Any]:
    """Import ``package.module:function``."""
    module, function = name.split(":")
    return getattr(importlib.import_module(module), function)


def failure_report(error: Exception) -> FailureReport:
    """How a part of a larger job failed, for its result: bounded, and without secrets."""
    if not isinstance(error, RecLensError):
        _log.error("job.failed", error=repr(error), exc_info=error)
    message = error.message if isinstance(error, RecLensError) else str(error)
    return FailureReport(
        reason=getattr(error, "reason", InternalError.reason),
        type=type(error).__name__,
        message=scrub(message)[:_MAX_MESSAGE],
        field=getattr(error, "field", ""),
        remedy=scrub(getattr(error, "remedy", "")),
        retryable=getattr(error, "retryable", False),
        traceback=scrub("".join(traceback.format_exception(error)))[-_MAX_TRACEBACK:],
    )


# --- outages ------------------------------------------------------------------------------------


def delay_in_outage(task: Task, runtime: Runtime, error: RecLensError) -> float:
    """Note that the job waits, for people to see, and return the seconds until it tries again.

    The wait is counted from the first failure since the job last saved progress. It does not use
    up the retries that other faults are given.

    Raises:
        RecLensError: ``error`` itself, once it has waited for ``settings.patience_seconds``.
    """
    job_id = str(task.request.id)
    key, now = waiting_key(job_id), time.time()
    runtime.redis.hsetnx(key, "since", str(now))
    since = float(runtime.redis.hget(key, "since") or now)  # type: ignore[arg-type]
    tries = int(runtime.redis.hincrby(key, "tries", 1))  # type: ignore[arg-type]
    runtime.redis.expire(key, runtime.settings.redis.result_expires_seconds)
    left = since + runtime.settings.patience_seconds - now
    if left <= 0:
        runtime.redis.delete(key)
        _log.warning("job.gave_up", reason=error.reason, seconds=round(now - since))
        raise error
    countdown = min(backoff_seconds(tries, longest=runtime.longest_countdown), left)
    waiting = Waiting(
        reason=error.reason,
        message=error.message,
        since=_moment(since),
        next_try_at=_moment(now + countdown),
    )
    _log.info("job.waiting", reason=error.reason, error=error.message, seconds=round(countdown, 1))
    task.update_state(
        state="WAITING",
        meta={"waiting": waiting.canonical(), "progress": _last_progress(task, runtime, job_id)},
    )
    return countdown


def _last_progress(task: Task, runtime: Runtime, job_id: str) -> dict[str, Any] | None:
    """How far the job was when it last said so, in this try or in one before."""
    meta: Any = task.backend.get_task_meta(job_id, cache=False)
    told = meta["result"] if meta["status"] == "PROGRESS" else None
    key = waiting_key(job_id)
    # While it reads its inputs again it has no total, and is no further back for that.
    if told and told["total"] is not None:
        runtime.redis.hset(key, "progress", json.dumps(told))
    noted: str | None = runtime.redis.hget(key, "progress")  # type: ignore[assignment]
    return json.loads(noted) if noted else told


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
