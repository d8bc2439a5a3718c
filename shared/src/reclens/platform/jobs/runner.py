"""Runs a job: at most one worker at a time, at most once, resumed where it was cut.

A stage is a function ``run(spec, job) -> metrics``. Around it stands everything that all stages
share: parsing, reuse of what exists, lease, retries, dead letters and the commit. An action is a
function ``run(spec, task, runner) -> result`` for a job that makes no artifact, or hands over to
other tasks first; it is noted and retried, but takes no lease.

A process that is short of memory or threads ends, and with it what it has left behind: its job is
tried again in another, as often as one that is killed.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from billiard.exceptions import WorkerLostError
from celery import Celery, Task
from celery.canvas import Signature
from celery.exceptions import Ignore, Reject, TaskPredicate
from celery.signals import worker_shutting_down
from celery.states import FAILURE, READY_STATES
from celery.worker.request import Request
from redis.exceptions import RedisError

from reclens.contracts import (
    FailureReport,
    JobKind,
    JobResult,
    JobSpec,
    canonical_json,
    data_paths,
)
from reclens.contracts.jobs.kinds import MAX_SPEC_BYTES
from reclens.errors import (
    InternalError,
    InvalidSpec,
    JobCancelled,
    LeaseLost,
    Poisoned,
    RecLensError,
    Unavailable,
    VersionMismatch,
)
from reclens.platform.jobs.app import connect
from reclens.platform.jobs.checkpoints import CheckpointStore
from reclens.platform.jobs.context import (
    JobContext,
    Requeue,
    Runtime,
    ancestors,
    deliveries_key,
    tell,
)
from reclens.platform.jobs.lease import Lease
from reclens.platform.jobs.outages import outage_of
from reclens.platform.jobs.retries import process_ended, retry_delay, send_again
from reclens.platform.observability.job_metrics import observe_fault
from reclens.platform.scrubbing import scrub
from reclens.platform.settings.models import WorkerSettings
from reclens.platform.store.artifacts import ArtifactWriter

StageFunction = Callable[[Any, JobContext], dict[str, Any]]
"""Makes the objects of an artifact and returns the manifest's metrics."""
ActionFunction = Callable[[Any, Task, "JobRunner"], JobResult]
"""What a task does with its specification; returns the result, or replaces the task."""

EXHAUSTED_EXIT_CODE = 71
"""Of a pool process that is short of memory or threads: EX_OSERR."""

_LEASE_RETRY_SECONDS = 3.0
# Header of a message, which those who do not know it pass over.
_PLANNED = "reclens_artifact"
# Between two looks whether Redis is back.
_REDIS_SECONDS = 0.5
# For a worker to be told to stop, once it has asked for it.
_STOP_SECONDS = 30.0
# What Python, PyTorch and Arrow say, which have no classes for it.
_EXHAUSTED = ("can't start new thread", "can't allocate memory", "Failed to launch worker thread")
# Characters of a report: a result is no place for large payloads.
_MAX_MESSAGE, _MAX_TRACEBACK = 1000, 4000

_log = structlog.get_logger(__name__)


class JobRunner:
    """Registers tasks with a Celery application and runs them.

    Args:
        app: application of the worker.
        settings: makes the worker's settings. Called in the process that runs the first job,
            after the fork: clients made before one do not work after it.
        worker: its name, as the failure detector knows it. Empty: none that it knows.
    """

    def __init__(
        self, app: Celery, settings: Callable[[], WorkerSettings], *, worker: str = ""
    ) -> None:
        self._app = app
        self._settings = settings
        self._worker = worker
        self._parent = os.getpid()
        self.on_exhausted: Callable[[str], None] = lambda _fault: None
        """Called where the worker's own process should end, with the reason."""
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
        runner = self

        class JobRequest(Request):
            """A message in the hands of the pool's parent."""

            def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
                error = exc_info.exception
                # Billiard may put a traceback around it.
                if isinstance(getattr(error, "exc", error), WorkerLostError):
                    runner._process_died(self, kind)
                return super().on_failure(exc_info, *args, **kwargs)

        @self._app.task(name=kind.task, bind=True, Request=JobRequest)
        def _task(self_: Task, spec: dict[str, Any]) -> dict[str, Any]:
            try:
                return self._guard(self_, kind, spec)
            except TaskPredicate:
                raise  # sent again, or replaced
            except Exception as error:
                if is_exhaustion(error):
                    self._end_process(self_, error)
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
        if (found := self._reused(spec)) is not None:
            return found
        with Lease(
            runtime.redis,
            ref,
            runtime.settings.lease_seconds,
            self._worker,
            progress_seconds=runtime.settings.progress_seconds,
            on_stall=lambda: self._end_stalled(ref),
        ) as lease:
            if not lease.acquire():
                raise Requeue(_LEASE_RETRY_SECONDS)
            # Whoever held the lease before may have committed meanwhile.
            if (found := self._reused(spec)) is not None:
                return found
            self._count_delivery(task, spec)
            ended_process = False
            try:
                return self._run(task, spec, lease)
            except Exception as error:
                ended_process = is_exhaustion(error)
                raise
            finally:
                # Only deliveries that cost a process are left to count.
                if not ended_process:
                    with contextlib.suppress(RedisError):
                        runtime.redis.delete(deliveries_key(ref))

    def found(self, ref: str) -> JobResult | None:
        """The result of a job whose artifact exists already; None where it does not."""
        store = self.runtime.store
        if not store.exists(ref):
            return None
        metrics = store.manifest(ref).metrics
        return JobResult(artifact=ref, reused=True, seconds=0.0, metrics=metrics)

    def _reused(self, spec: JobSpec) -> JobResult | None:
        found = self.found(spec.artifact_ref())
        if found is not None and spec.JOB.check_reuse is not None:
            _function(spec.JOB.check_reuse)(spec, found.metrics)
        return found

    def _guard(self, task: Task, kind: JobKind, payload: dict[str, Any]) -> dict[str, Any]:
        request, job_id = task.request, str(task.request.id)
        with structlog.contextvars.bound_contextvars(job_id=job_id, task=task.name):
            try:
                self._raise_if_failed(task)
                joblog = self.runtime.joblog
                is_stage = request.root_id not in (None, job_id)
                joblog.record(job_id, str(task.name), payload, listed=not is_stage, started=True)
                tell(task, "STARTED", {"pid": os.getpid(), "hostname": request.hostname})
                if joblog.cancelled(*ancestors(task)):
                    raise JobCancelled("cancelled before it started.")
                return self._run_kind(task, kind, payload).canonical()
            except Requeue as again:
                countdown = min(again.countdown, self.runtime.longest_countdown)
                self._insist(lambda: send_again(task, countdown))
            except TaskPredicate:
                raise
            except Exception as error:
                known = error if isinstance(error, RecLensError) else outage_of(error)
                if known is None or is_exhaustion(error):
                    raise
                if not known.retryable:
                    _log.warning("job.failed", reason=known.reason, error=known.sentence)
                    raise
                self._insist(lambda: send_again(task, retry_delay(task, self.runtime, known)))
                raise Ignore from error
        raise Ignore

    def _raise_if_failed(self, task: Task) -> None:
        """Where the job has failed before, and only the acknowledgement was lost, fail in the same
        way: whoever did not learn of it then does so now."""
        kept: Any = task.backend.get_task_meta(task.request.id, cache=False)
        if kept["status"] == FAILURE and isinstance(kept["result"], Exception):
            raise kept["result"]

    # --- processes that end -----------------------------------------------------------------------

    def _process_died(self, request: Any, kind: JobKind) -> None:
        """In the pool's parent: the process that ran this message is gone, and so is its lease."""
        _log.warning("job.process_died", job_id=request.id, pid=request.worker_pid)
        with contextlib.suppress(RedisError, RecLensError):
            settings = self._settings()
            spec = kind.spec.parse(request.kwargs["spec"])
            if isinstance(spec, JobSpec):
                redis = connect(settings.redis)
                lease = Lease(redis, spec.artifact_ref(), settings.lease_seconds, self._worker)
                lease.end_of(request.worker_pid)
        with contextlib.suppress(RedisError):
            backend = request.task.backend
            if backend.get_task_meta(request.id, cache=False)["status"] not in READY_STATES:
                meta = {"waiting": process_ended("it died").canonical(), "progress": None}
                backend.store_result(request.id, meta, "WAITING", request=request._context)

    def _end_process(self, task: Task, error: Exception) -> None:
        """End the process that is short of something, and hand the job back."""
        _log.error("worker.exhausted", error=repr(error))
        if os.getpid() != self._parent:
            # The parent learns of it, and forks another.
            os._exit(EXHAUSTED_EXIT_CODE)
        waiting = process_ended(f"it is short of memory or threads ({error!r})")
        with contextlib.suppress(RedisError):
            tell(task, "WAITING", {"waiting": waiting.canonical(), "progress": None})
        self.on_exhausted(repr(error))
        # Handed back any earlier, it would come to this process again.
        self._stopping.wait(_STOP_SECONDS)
        raise Reject(error, requeue=True) from error

    def _end_stalled(self, ref: str) -> None:
        _log.error("job.stalled", artifact=ref, seconds=self._settings().progress_seconds)
        if os.getpid() != self._parent:
            os._exit(EXHAUSTED_EXIT_CODE)
        self.on_exhausted(f"{ref} does not advance")

    def _run_kind(self, task: Task, kind: JobKind, payload: dict[str, Any]) -> JobResult:
        # Who sends messages was not asked at the door, where defaults are not filled in yet.
        if len(json.dumps(payload, separators=(",", ":"))) > 2 * MAX_SPEC_BYTES:
            raise InvalidSpec(
                f"the specification has more than {2 * MAX_SPEC_BYTES} bytes.",
                field="spec",
                remedy="put large data into the object store and refer to it.",
            )
        spec = kind.spec.parse(payload)
        if isinstance(spec, JobSpec):
            _check_planned(task, spec.artifact_ref())
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
            result = job.run(run, spec)
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
        CheckpointStore(runtime.store.objects, spec.artifact_ref()).sweep_uploads()
        letter = {"job_id": task.request.id, "task": task.name, "spec": spec.canonical()}
        runtime.store.objects.put(f"dead-letters/{task.request.id}.json", canonical_json(letter))
        raise Poisoned(
            f"the job killed its worker {limit} times without progress.",
            field="spec",
            remedy=f"see dead-letters/{task.request.id}.json and the worker's log (memory?).",
        )

    def _insist(self, action: Callable[[], None]) -> None:
        """Do what needs Redis as soon as it can: a message that is not sent is a job lost."""
        while True:
            try:
                action()
                return
            except Exception as error:
                if isinstance(error, RecLensError) or outage_of(error) is None:
                    raise
                time.sleep(_REDIS_SECONDS)


def planned(signature: Signature, ref: str) -> Signature:
    """``signature`` with the artifact that is expected of it, for the worker to compare."""
    return signature.set(headers={_PLANNED: ref})


def _check_planned(task: Task, ref: str) -> None:
    expected = (task.request.headers or {}).get(_PLANNED, ref)
    if expected != ref:
        raise VersionMismatch(
            f"{expected} was planned, and this worker would make {ref}: it is of another version "
            "of RecLens than the one that planned it.",
            field="spec",
            remedy="upgrade all workers, see docs/how-to/upgrading.md, and submit the job again.",
        )


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error tells that this process is short of memory or threads."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    tells = isinstance(error, RuntimeError) or type(error).__module__ == "pyarrow.lib"
    texts = tells and any(text in str(error) for text in _EXHAUSTED)
    return texts or isinstance(error, MemoryError)


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
