"""What a stage may do besides compute: read artifacts, add objects, say how far it is."""

from __future__ import annotations

import contextlib
import errno
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog
from celery import Celery, Task
from celery.states import READY_STATES
from redis.exceptions import RedisError

from reclens.contracts import JobResult, JobSpec, Progress
from reclens.errors import DiskFull, JobCancelled, LlmInterrupted, RecLensError, StaleCheckpoint
from reclens.platform.jobs.app import connect
from reclens.platform.jobs.checkpoints import CheckpointStore
from reclens.platform.jobs.lease import Lease
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.stop_signal import StopSignal
from reclens.platform.observability.job_metrics import observe_checkpoint, observe_progress
from reclens.platform.settings.models import WorkerSettings
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter

_PUBLISH_SECONDS = 1.0
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
# Of the file system, of a user's share, and of a file where a limit is set.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

# What a checkpoint of other code, or one that somebody else wrote, raises.
_UNUSABLE = (RuntimeError, LookupError, ValueError, TypeError, AttributeError, RecLensError)

_log = structlog.get_logger(__name__)


class Resumable(Protocol):
    """A trainer of the core, or a stage that makes its objects part by part.

    Objects that were added before `state` was taken are kept with it: whoever restores it goes on
    after them.
    """

    def steps(self) -> Iterator[Progress]:
        """Work on; between two yields `state` is valid."""
        ...

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Tensors and JSON from which `restore` goes on as if never interrupted."""
        ...

    def restore(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Take up such a state."""
        ...


class Requeue(Exception):
    """The job goes on as a new message after ``countdown`` seconds: a signal to the runner."""

    def __init__(self, countdown: float = 0.0) -> None:
        super().__init__(countdown)
        self.countdown = countdown


def ancestors(task: Task) -> list[str]:
    """The job and those that it is a part of: its labelling or stage, its pipeline."""
    request = task.request
    return [one for one in (request.id, request.parent_id, request.root_id) if one]


def tell(task: Task, state: str, meta: dict[str, Any]) -> None:
    """Show where the job is, unless it has ended: no job leaves its final state, though a worker
    that was thought dead may be at it still."""
    kept: Any = task.backend.get_task_meta(task.request.id, cache=False)
    if kept["status"] not in READY_STATES:
        task.update_state(state=state, meta=meta)


class Runtime:
    """Clients of one worker process. Made in the child, after the fork, at its first job."""

    def __init__(self, settings: WorkerSettings, app: Celery, stopping: Event) -> None:
        self.settings = settings
        self.store = ArtifactStore.from_settings(settings)
        self.redis = connect(settings.redis)
        self.joblog = JobLog(settings.redis, app)
        self.stopping = stopping

    @property
    def longest_countdown(self) -> float:
        """Seconds that a message may wait in a worker before it counts as lost and is sent twice,
        and no more than a minute."""
        return min(60.0, self.settings.redis.visibility_timeout_seconds / 2)


class JobContext:
    """What a stage may do besides compute.

    Attributes:
        store: artifacts, for reading.
        settings: the worker's settings.
        folder: an empty scratch folder, removed afterwards.
        stopping: set when the worker was told to stop.
    """

    def __init__(
        self,
        task: Task,
        runtime: Runtime,
        *,
        lease: Lease,
        writer: ArtifactWriter,
        folder: Path,
    ) -> None:
        self.store = runtime.store
        self.settings = runtime.settings
        self.folder = folder
        self._task = task
        self._joblog = runtime.joblog
        self._redis = runtime.redis
        self._lease = lease
        self._writer = writer
        self.stopping = runtime.stopping
        self._checkpoints = CheckpointStore(runtime.store.objects, writer.ref)
        self._published = 0.0
        self._reached: Progress | None = None
        # By stage, the step that no attempt at this artifact has gone beyond so far.
        self._furthest: dict[str, int] | None = None
        self._rates = RateEstimator()
        self._started = time.monotonic()
        self.seconds_before = 0.0
        self._memory = PeakMemory()
        self._peak_before = 0
        self._devices: list[str] = []

    @cached_property
    def stop_signal(self) -> StopSignal:
        """Set when the worker stops or the job, or what it is a part of, was cancelled: for whoever
        waits within a step. Taken in the job's own thread, it may be handed to others."""
        # Celery knows in this thread alone which job it is.
        job_ids = ancestors(self._task)
        return StopSignal(self.stopping, lambda: self._joblog.cancelled(*job_ids))

    @property
    def seconds(self) -> float:
        """Wall time so far, over all segments."""
        return self.seconds_before + time.monotonic() - self._started

    @property
    def peak_memory_bytes(self) -> int:
        """Highest resident memory of the worker's process so far, over all segments."""
        return max(self._peak_before, self._memory.read())

    def add(self, path: Path, name: str | None = None) -> None:
        """Upload one finished object of the artifact."""
        self._lease.touch()
        self._lease.check()
        self._writer.add(path, name)
        self._lease.touch()

    def progress(self, progress: Progress) -> None:
        """Publish how far the job is; cheap, call it often.

        Raises:
            JobCancelled: somebody asked the job to stop.
        """
        now = time.monotonic()
        self._reached = progress
        self._lease.touch()
        if now - self._published < _PUBLISH_SECONDS:
            return
        self._published = now
        observe_progress()
        if self._joblog.cancelled(*ancestors(self._task)):
            raise JobCancelled(f"cancelled while {progress.stage} was at {progress.step}.")
        self._publish(progress)

    def _publish(self, progress: Progress) -> None:
        measured = self._rates.measured(progress, time.monotonic())
        tell(self._task, "PROGRESS", measured.canonical())
        self._note_furthest(progress)

    def _note_furthest(self, progress: Progress) -> None:
        """Forget earlier faults where no attempt has been as far before: the job is not stuck, even
        where nothing of what it did is kept."""
        key = furthest_key(self._writer.ref)
        if self._furthest is None:
            noted: Any = self._redis.hgetall(key)
            self._furthest = {stage: int(step) for stage, step in noted.items()}
        if progress.step <= self._furthest.get(progress.stage, 0):
            return
        self._furthest[progress.stage] = progress.step
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, progress.stage, str(progress.step))
            pipe.expire(key, self.settings.redis.result_expires_seconds)
            pipe.delete(deliveries_key(self._writer.ref), waiting_key(self._task.request.id))
            pipe.execute()

    def computes_on(self, device: str) -> None:
        """Note what torch computes on, in words, for the manifest."""
        if device not in self._devices:
            self._devices.append(device)

    def drive(self, trainer: Resumable, *, segment_seconds: float = math.inf) -> None:
        """Run a trainer to its end: resume it, publish its progress, save its checkpoints.

        Args:
            trainer: what to run.
            segment_seconds: after this long it is left too, where that is sooner than
                ``settings.segment_seconds``: the job goes to the end of its queue.

        Raises:
            Requeue: it was left, for that or because the worker stops, and goes on later.
        """
        self._resume(trainer)
        observe_checkpoint()
        entered = time.monotonic()
        last_saved, advanced = self._started, False
        try:
            for progress in trainer.steps():
                advanced = True
                now = time.monotonic()
                spent = (
                    now - self._started > self.settings.segment_seconds
                    or now - entered > segment_seconds
                )
                leaving = self.stopping.is_set() or spent
                try:
                    self.progress(progress)
                except JobCancelled:
                    self._save(trainer)
                    raise
                if leaving or now - last_saved > self.settings.checkpoint_seconds:
                    self._save(trainer)
                    last_saved = time.monotonic()
                if leaving:
                    raise Requeue
        except RecLensError as error:
            # It is going to wait, perhaps for long: what it has done is not done again.
            if error.long_outage and advanced:
                self._save(trainer)
            if isinstance(error, LlmInterrupted):
                raise Requeue from error
            raise

    def _resume(self, trainer: Resumable) -> None:
        saved = self._checkpoints.load()
        if saved is None:
            return
        tensors, meta = saved
        try:
            # Checkpoints of older versions name no objects: there were none then.
            if not self._writer.take_over(meta.get("parts", {"objects": [], "inputs": {}})):
                self._checkpoints.clear()
                _log.warning("job.starts_over", why="what was made before is not there any more")
                return
            trainer.restore(tensors, meta["trainer"])
            self.seconds_before = float(meta["seconds"])
            self._peak_before = meta["peak_memory_bytes"]
            # Checkpoints of older versions do not say.
            self._devices = list(dict.fromkeys([*meta.get("devices", []), *self._devices]))
            reached = meta.get("reached")
            self._reached = None if reached is None else Progress.parse(reached)
        except _UNUSABLE as error:
            if isinstance(error, RecLensError) and error.retryable:
                raise  # An outage says nothing of the checkpoint.
            # Left in place it would fail every later attempt too.
            self._checkpoints.clear()
            raise StaleCheckpoint(f"the checkpoint cannot be taken up: {error}") from error
        # Until its first step is done it is as far as it was, however long that takes.
        if self._reached is not None:
            self._publish(self._reached)
        _log.info("job.resumed", seconds_before=self.seconds_before)

    def _save(self, trainer: Resumable) -> None:
        self._lease.touch()
        self._lease.check()
        tensors, meta = trainer.state()
        advanced = self._checkpoints.save(
            tensors,
            {
                "trainer": meta,
                "parts": self._writer.hand_on(),
                "seconds": self.seconds,
                "peak_memory_bytes": self.peak_memory_bytes,
                "devices": self._devices,
                "reached": self._reached and self._reached.canonical(),
            },
        )
        observe_checkpoint()
        if advanced:
            # It got further than the checkpoint it came from, so it is not stuck.
            self._redis.delete(deliveries_key(self._writer.ref), waiting_key(self._task.request.id))
        if self._reached is not None:
            # It may end here for now, and then this is what it shows.
            self._publish(self._reached)

    def run(self, stage: Callable[[Any, JobContext], dict[str, Any]], spec: JobSpec) -> JobResult:
        """Make the artifact with ``stage``, commit it and forget the checkpoint.

        Raises:
            DiskFull: there is no room for local files.
        """
        try:
            metrics = stage(spec, self)
        except Exception as error:
            if _is_disk_full(error):
                raise self._disk_full(error) from error
            raise
        self._lease.check()
        manifest = self._writer.commit(metrics, self.seconds, self.peak_memory_bytes, self._devices)
        self._checkpoints.clear()
        with contextlib.suppress(RedisError):
            self._redis.delete(furthest_key(self._writer.ref))
        return JobResult(
            artifact=manifest.artifact, seconds=manifest.seconds, metrics=manifest.metrics
        )

    def _disk_full(self, error: Exception) -> DiskFull:
        folder = getattr(error, "filename", None) or f"{self.folder} or {self.settings.cache_dir}"
        return DiskFull(
            f"there is no room left on the disk of {folder}.",
            field="cache_dir",
            remedy=f"make room there: all below {self.settings.cache_dir} are copies, which may be "
            "removed while no job runs. Or set RECLENS_CACHE_DIR, and TMPDIR for scratch files, to "
            "a larger disk.",
        )


def _is_disk_full(error: BaseException) -> bool:
    # Libraries that write by themselves tell it in words.
    full = getattr(error, "errno", None) in _FULL or "No space left on device" in str(error)
    return full and not isinstance(error, RecLensError)


def waiting_key(job_id: str) -> str:
    """Where a job that waits notes since when, and how often it has tried."""
    return f"reclens:waiting:{job_id}"


def deliveries_key(ref: str) -> str:
    """Where deliveries of the job that makes ``ref`` are counted."""
    return f"reclens:deliveries:{ref}"


def furthest_key(ref: str) -> str:
    """Where the furthest step of each stage of the job that makes ``ref`` is noted."""
    return f"{deliveries_key(ref)}:furthest"


# --- what is measured of a running job -----------------------------------------------------------


class PeakMemory:
    """Highest resident memory of this process since it was made, in bytes.

    Linux keeps a mark that can be set back (proc(5), ``clear_refs`` and ``VmHWM``). Where it cannot
    be, the peak is that of the whole life of the process.
    """

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            _CLEAR_REFS.write_text(_RESET_PEAK)

    def read(self) -> int:
        """The peak so far, in bytes."""
        with contextlib.suppress(OSError):
            for line in _STATUS.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


class RateEstimator:
    """Adds rate and time left to progress that has neither, from how its steps advance."""

    _SMOOTHING = 0.3

    def __init__(self) -> None:
        self._stage = ""
        self._step = 0
        self._time = 0.0
        self._rate: float | None = None

    def measured(self, progress: Progress, now: float) -> Progress:
        """``progress`` at time ``now`` in seconds, with ``rate`` and ``eta_seconds``."""
        if progress.stage != self._stage or progress.step < self._step:
            self._rate = None
        elif now > self._time:
            rate = (progress.step - self._step) / (now - self._time)
            share = self._SMOOTHING if self._rate is not None else 1.0
            self._rate = share * rate + (1 - share) * (self._rate or 0.0)
        self._stage, self._step, self._time = progress.stage, progress.step, now
        rate = progress.rate if progress.rate is not None else self._rate
        eta = progress.eta_seconds
        if eta is None and rate and progress.total is not None:
            eta = max(0, progress.total - progress.step) / rate
        return progress.model_copy(update={"rate": rate, "eta_seconds": eta})
