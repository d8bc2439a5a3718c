"""Runs a job: at most one worker at a time, at most once, resumed where it was cut.

A stage is a function ``run(spec, job) -> metrics``. Around it stands everything that all stages
share: parsing, reuse of what exists, lease, retries, dead letters and the commit.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import random
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import structlog
from celery import Celery, Task
from celery.exceptions import Ignore
from celery.signals import worker_shutting_down
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from reclens.adapters.artifacts import ArtifactStore, ArtifactWriter
from reclens.adapters.jobcontext import JobContext, Paused, Runtime, deliveries_key
from reclens.adapters.lease import Lease
from reclens.adapters.settings import WorkerSettings
from reclens.contracts import JobResult, JobSpec, TaskName, canonical_json
from reclens.errors import JobCancelled, LeaseLost, Poisoned, RecLensError, Unavailable

__all__ = ["JobContext", "JobRunner", "Stage"]

SpecT = TypeVar("SpecT", bound=JobSpec)
Stage = Callable[[SpecT, JobContext], dict[str, Any]]
"""Makes the objects of an artifact and returns the manifest's metrics."""

_LEASE_RETRY_SECONDS = 3.0
_BACKOFF_LIMIT_SECONDS = 60.0

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

    def register(self, spec_type: type[SpecT], stage: str) -> None:
        """Register the task that makes the artifact of ``spec_type``.

        Args:
            spec_type: what the payload must be.
            stage: ``package.module:function``, a `Stage`; imported at the first job.
        """

        def make(task: Task, payload: dict[str, Any]) -> dict[str, Any]:
            return self.make(task, spec_type.parse(payload), stage)

        self.register_action(spec_type.TASK, make)

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

    def register_action(
        self, name: TaskName, action: Callable[[Task, dict[str, Any]], dict[str, Any]]
    ) -> None:
        """Register a task that makes no artifact: it is noted, and retried, but takes no lease."""

        @self._app.task(name=name.value, bind=True)
        def _task(self_: Task, spec: dict[str, Any]) -> dict[str, Any]:
            return self._guard(self_, spec, action)

    def _guard(
        self,
        task: Task,
        payload: dict[str, Any],
        action: Callable[[Task, dict[str, Any]], dict[str, Any]],
    ) -> dict[str, Any]:
        request, job_id = task.request, str(task.request.id)
        with structlog.contextvars.bound_contextvars(job_id=job_id, task=task.name):
            try:
                joblog = self.runtime.joblog
                is_stage = request.root_id not in (None, job_id)
                joblog.record(job_id, str(task.name), payload, listed=not is_stage)
                joblog.started(job_id)
                if joblog.cancelled(job_id, request.root_id):
                    raise JobCancelled("cancelled before it started.")
                return action(task, payload)
            except Paused:
                _send_again(task, countdown=0)
            except _Busy:
                _send_again(task, countdown=_LEASE_RETRY_SECONDS)
            except (RedisConnectionError, RedisTimeoutError) as error:
                raise self._retry(task, error) from error
            except RecLensError as error:
                if error.retryable:
                    raise self._retry(task, error) from error
                _log.warning("job.failed", reason=error.reason, error=str(error))
                raise
        raise Ignore

    def _make(self, task: Task, spec: SpecT, run: Stage[SpecT]) -> JobResult:
        ref, runtime = spec.artifact_ref(), self.runtime
        structlog.contextvars.bind_contextvars(artifact=ref)
        if (found := _found(runtime.store, ref)) is not None:
            return found
        with Lease(runtime.redis, ref, runtime.settings.lease_seconds) as lease:
            if not lease.acquire():
                raise _Busy
            # Whoever held the lease before may have committed meanwhile.
            if (found := _found(runtime.store, ref)) is not None:
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
        ceiling = min(_BACKOFF_LIMIT_SECONDS, 2.0**task.request.retries)
        countdown = ceiling / 2 + random.uniform(0, ceiling / 2)
        return task.retry(
            exc=error, countdown=countdown, max_retries=self._settings().max_retries, throw=False
        )


def _found(store: ArtifactStore, ref: str) -> JobResult | None:
    if not store.exists(ref):
        return None
    manifest = store.manifest(ref)
    return JobResult(artifact=ref, reused=True, seconds=0.0, metrics=manifest.metrics)


def _send_again(task: Task, countdown: float) -> None:
    """Send the same job again, with what is chained to it, without counting a retry."""
    signature = task.signature_from_request(
        task.request,
        task.request.args,
        task.request.kwargs,
        countdown=countdown,
        retries=task.request.retries,
    )
    assert signature is not None
    signature.apply_async()
