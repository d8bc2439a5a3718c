"""Retry policies: exponential backoff with jitter. Most faults get a few retries within minutes; an
outage of a part that takes long to come back, such as a language model that loads, is sat out."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import structlog
from celery import Task

from reclens.contracts import Waiting
from reclens.errors import RecLensError
from reclens.platform.backoff import backoff_seconds
from reclens.platform.jobs.context import Runtime, waiting_key

_log = structlog.get_logger(__name__)


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
    noted: bytes | None = runtime.redis.hget(key, "progress")  # type: ignore[assignment]
    return json.loads(noted) if noted else told


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
