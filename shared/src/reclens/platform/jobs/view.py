"""A job as people see it: its state, how far it is, what it is made of, how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from reclens.contracts import FailureReport, JobResult, Progress, Record, Waiting
from reclens.errors import JobCancelled, Partial


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    PARTIAL = "PARTIAL"
    """Some of its shards were made and kept, others were not; there is no result."""
    SKIPPED = "SKIPPED"
    """A stage that never ran, because one before it did not succeed."""

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self not in {JobState.QUEUED, JobState.RUNNING, JobState.RETRYING}


_STATES = {
    "PENDING": JobState.QUEUED,
    "RECEIVED": JobState.QUEUED,
    "STARTED": JobState.RUNNING,
    "PROGRESS": JobState.RUNNING,
    "WAITING": JobState.RETRYING,
    "RETRY": JobState.RETRYING,
    "SUCCESS": JobState.SUCCEEDED,
    "FAILURE": JobState.FAILED,
    "REVOKED": JobState.CANCELLED,
}


class JobError(Record):
    """Why a job failed."""

    type: str
    """Class of the error, e.g. ``MalformedData``."""
    message: str
    """One readable sentence, with the remedy."""
    traceback: str = ""
    """Where in the worker."""


class Outcome(Record):
    """Where a job, a stage or a shard is, and what came of it."""

    state: JobState
    """Where it is."""
    progress: Progress | None = None
    """While it runs; of a job with shards, over all of them."""
    waiting: Waiting | None = None
    """While it waits for a part that is away."""
    result: JobResult | None = None
    """Once it has succeeded."""


class ShardView(Outcome):
    """One shard of a job that several workers share: a range of latents."""

    first: int
    """First latent."""
    stop: int
    """The latent after its last one."""
    artifact: str
    """What it makes."""
    job_id: str | None = None
    """Its own job; None where it was found, so that nothing was sent."""
    failure: FailureReport | None = None
    """Once it has failed for good."""

    @property
    def size(self) -> int:
        """Latents of the range."""
        return self.stop - self.first

    @property
    def done(self) -> int:
        """Latents labelled so far."""
        if self.state is JobState.SUCCEEDED:
            return self.size
        counted = self.progress is not None and self.progress.unit == "latents"
        return self.progress.step if counted and self.progress is not None else 0


class StageView(Outcome):
    """One stage of a pipeline."""

    name: str
    """``dataset``, ``recommender``, ..."""
    job_id: str
    """Its own job."""
    artifact: str
    """What it makes."""
    error: JobError | None = None
    """Once it has failed."""
    shards: tuple[ShardView, ...] = ()
    """Ranges of latents that it is divided into."""


class JobView(Outcome):
    """One job, whole."""

    id: str
    """The Celery task id."""
    task: str
    """Name of the task."""
    spec: dict[str, Any]
    """As submitted."""
    submitted_at: str | None = None
    """UTC, ISO 8601."""
    started_at: str | None = None
    """UTC, ISO 8601; the first start."""
    finished_at: str | None = None
    """UTC, ISO 8601."""
    error: JobError | None = None
    """Once it has failed."""
    stages: tuple[StageView, ...] = ()
    """Stages of a pipeline, in order."""
    shards: tuple[ShardView, ...] = ()
    """Ranges of latents that a labelling is divided into."""


def outcome_of(meta: dict[str, Any]) -> dict[str, Any]:
    """What Celery keeps of a task, as fields that `JobView` and `StageView` share, and
    ``finished_at``."""
    state = _STATES.get(meta["status"], JobState.QUEUED)
    result = meta.get("result")
    finished_at = meta.get("date_done") if state.final else None
    found: dict[str, Any] = {"state": state, "finished_at": finished_at}
    if state is JobState.SUCCEEDED:
        found["result"] = JobResult.parse(result)
    elif isinstance(result, JobCancelled):
        found["state"] = JobState.CANCELLED
    elif isinstance(result, BaseException):
        if isinstance(result, Partial):
            found["state"] = JobState.PARTIAL
        found["error"] = JobError(
            type=type(result).__name__,
            message=str(result),
            traceback=meta.get("traceback") or "",
        )
    elif meta["status"] == "PROGRESS":
        found["progress"] = Progress.parse(result)
    elif meta["status"] == "WAITING" and isinstance(result, dict):
        found["waiting"] = Waiting.parse(result["waiting"])
        found["progress"] = result["progress"] and Progress.parse(result["progress"])
    return found


def shard_view(planned: dict[str, Any], meta: dict[str, Any] | None) -> ShardView:
    """One planned shard, and what Celery keeps of its task; None where none was sent."""
    if meta is None:
        result = JobResult(artifact=planned["artifact"], reused=True)
        return ShardView(**planned, state=JobState.SUCCEEDED, result=result)
    result = meta.get("result")
    if meta["status"] == "SUCCESS" and isinstance(result, dict) and "failed" in result:
        report = FailureReport.parse(result["failed"])
        cancelled = report.reason == JobCancelled.reason
        state = JobState.CANCELLED if cancelled else JobState.FAILED
        return ShardView(**planned, state=state, failure=report)
    outcome = outcome_of(meta)
    failure = None
    if outcome["state"].final and isinstance(result, BaseException):
        # Celery itself gave it up, e.g. because no worker knows the task.
        failure = FailureReport(reason="INTERNAL", type=type(result).__name__, message=str(result))
    shared: dict[str, Any] = {name: outcome.get(name) for name in Outcome.model_fields}
    return ShardView(**planned, **shared, failure=failure)


def with_shards(outcome: dict[str, Any], shards: Sequence[ShardView]) -> dict[str, Any]:
    """The outcome of a job whose shards are under way: theirs tell where it is, until all have
    ended and it is the job itself that goes on."""
    outcome = {**outcome, "shards": tuple(shards)}
    if not shards or outcome["state"].final:
        return outcome
    if all(shard.state.final for shard in shards):
        if outcome["state"] is JobState.QUEUED:
            outcome["state"] = JobState.RUNNING
        outcome["progress"] = outcome.get("progress") or _over_all(shards)
        return outcome
    states = {shard.state for shard in shards}
    stuck = JobState.RETRYING in states and JobState.RUNNING not in states
    waiting = [shard.waiting for shard in shards if shard.waiting is not None]
    return {
        **outcome,
        "state": JobState.RETRYING if stuck else JobState.RUNNING,
        "progress": _over_all(shards),
        "waiting": min(waiting, key=lambda one: one.next_try_at, default=None),
    }


def seconds_until(moment: str, now: datetime) -> float:
    """Seconds from ``now`` to an ISO 8601 time, 0 where it has passed."""
    return max(0.0, (datetime.fromisoformat(moment) - now).total_seconds())


def _over_all(shards: Sequence[ShardView]) -> Progress:
    done, total = sum(shard.done for shard in shards), sum(shard.size for shard in shards)
    running = [s.progress for s in shards if s.state is JobState.RUNNING and s.progress is not None]
    rate = sum(progress.rate or 0.0 for progress in running)
    return Progress(
        stage="label",
        step=done,
        total=total,
        unit="latents",
        rate=rate or None,
        eta_seconds=(total - done) / rate if rate else None,
    )
