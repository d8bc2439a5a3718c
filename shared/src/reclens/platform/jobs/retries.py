"""Retry policies: exponential backoff with jitter. Most faults get a few retries within minutes; an
outage of a part that may take long to come back, such as the store or a language model, is sat out.
Whatever the job advances begins the count anew.
"""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from typing import Any

import structlog
from celery import Task

from reclens.contracts import Waiting
from reclens.errors import RecLensError
from reclens.platform.backoff import backoff_seconds
from reclens.platform.jobs.context import Runtime, tell, waiting_key

_log = structlog.get_logger(__name__)


def send_again(task: Task, countdown: float) -> None:
    """Send the same job again, with what is chained to it."""
    request = task.request
    signature = task.signature_from_request(
        request, request.args, request.kwargs, countdown=countdown, retries=request.retries
    )
    assert signature is not None
    signature.apply_async()


def retry_delay(task: Task, runtime: Runtime, error: RecLensError) -> float:
    """Note that the job waits, for people to see, and return the seconds until it tries again.

    Tries and time are counted from the first fault since the job last advanced. An outage may last
    for ``settings.patience_seconds``; of other faults it gets over ``settings.max_retries``.

    Raises:
        RecLensError: ``error`` itself, at the end.
    """
    job_id = str(task.request.id)
    key, now = waiting_key(job_id), time.time()
    runtime.redis.hsetnx(key, "since", str(now))
    since = float(runtime.redis.hget(key, "since") or now)  # type: ignore[arg-type]
    # Apart, so that a long outage leaves the retries of other faults alone.
    outages = int(runtime.redis.hincrby(key, "tries", int(error.long_outage)))  # type: ignore[arg-type]
    faults = int(runtime.redis.hincrby(key, "faults", int(not error.long_outage)))  # type: ignore[arg-type]
    runtime.redis.expire(key, runtime.settings.redis.result_expires_seconds)
    left = since + runtime.settings.patience_seconds - now if error.long_outage else math.inf
    if left <= 0 or faults > runtime.settings.max_retries:
        runtime.redis.delete(key)
        _log.warning("job.gave_up", reason=error.reason, seconds=round(now - since))
        raise error
    tries = outages if error.long_outage else faults - 1
    countdown = min(backoff_seconds(tries, longest=runtime.longest_countdown), left)
    waiting = Waiting(
        reason=error.reason,
        message=error.message,
        since=_moment(since),
        next_try_at=_moment(now + countdown),
    )
    _log.info("job.waiting", reason=error.reason, error=error.message, seconds=round(countdown, 1))
    progress = _last_progress(task, runtime, job_id)
    tell(task, "WAITING", {"waiting": waiting.canonical(), "progress": progress})
    return countdown


def process_ended(why: str) -> Waiting:
    """What a job shows whose process has ended, for ``why``."""
    now = _moment(time.time())
    return Waiting(
        reason="PROCESS_ENDED",
        message=f"the process that ran the job has ended: {why}; another takes it up.",
        since=now,
        next_try_at=now,
    )


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
