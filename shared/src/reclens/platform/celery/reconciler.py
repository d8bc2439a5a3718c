"""Finds jobs that nothing carries any more, and sends them again.

A message can be lost, though no part of RecLens loses one: with the last second of a Redis that
crashed, with a queue that somebody emptied, between the two writes of a submission. (That the job
itself is not lost with it, `JobLog.submit` sees to.) Its job would
wait for ever. So each worker compares from time to time what has not ended with what is in queues
and in workers' hands. A job all of whose messages, those of its stages and shards included, have
been in neither for a while is sent again, as it was submitted: what it made is found by its
manifests, what somebody is at by its leases. Where that has been in vain a few times, it ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import structlog
from celery import Celery
from redis import Redis

from reclens.contracts import QueueName
from reclens.errors import InternalError
from reclens.platform.celery.failure_detector import unacked_keys
from reclens.platform.jobs.lease import WORKERS
from reclens.platform.jobs.log import JobLog, OpenJob

MAX_RESENT = 3
"""Times that a job is sent again before it ends."""

_READ_AT_ONCE: Final = 16
# Celery's queues of other priorities, as kombu names them.
_PRIORITIES: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")

_log = structlog.get_logger(__name__)


class Reconciler:
    """One worker's part. Not for several threads.

    Args:
        app: of the worker.
        redis: a client.
        joblog: of the same Redis.
        lost_seconds: without any message after which a job counts as lost, as seen from here.
    """

    def __init__(self, app: Celery, redis: Redis, joblog: JobLog, lost_seconds: float) -> None:
        self._app = app
        self._redis = redis
        self._joblog = joblog
        self._lost_seconds = lost_seconds
        self._since: dict[str, float] = {}

    def look(self, now: float) -> None:
        """Send again what is lost at time ``now``, in seconds.

        Raises:
            RedisError: Redis does not answer; see `forget`.
        """
        # In this order: a job that ends meanwhile is taken for carried, not for lost.
        jobs = self._joblog.open_jobs()
        carried = self._carried({one for job in jobs for one in job.messages})
        lost = [job for job in jobs if not carried & job.messages]
        self._since = {job.id: self._since.get(job.id, now) for job in lost}
        for job in lost:
            if now - self._since[job.id] >= self._lost_seconds:
                self._send_again(job)

    def forget(self) -> None:
        """Redis was away: nothing counts as lost by what was seen before."""
        self._since = {}

    def _send_again(self, job: OpenJob) -> None:
        # Of several workers one does.
        turn = f"reclens:waiting:{job.id}:lost"
        if not self._redis.set(turn, "1", nx=True, px=round(self._lost_seconds * 1000)):
            return
        del self._since[job.id]
        if self._joblog.count_resent(job.id) > MAX_RESENT:
            _log.error("job.given_up", job_id=job.id, task=job.task)
            error = InternalError(
                f"its messages were lost, and so they were {MAX_RESENT} times after.",
                remedy="see the log of Redis, and submit the job again.",
            )
            self._app.backend.mark_as_failure(job.id, error)
            return
        _log.warning("job.sent_again", job_id=job.id, task=job.task)
        self._app.send_task(job.task, kwargs={"spec": job.spec}, task_id=job.id)

    def _carried(self, wanted: set[str]) -> set[str]:
        """Those of the job ids ``wanted`` of which there is a message."""
        found: set[str] = set()
        for message in messages(self._redis):
            if wanted <= found:
                break
            # Another may have put in what no worker could run.
            with suppress(LookupError, TypeError):
                found.add(message["headers"]["id"])
        return found & wanted


def messages(redis: Redis) -> Iterator[Any]:
    """All messages of jobs: those that wait, and then those in the hands of workers, until the job
    is over. One that is taken meanwhile is seen twice, not never. Messages outlive what the log
    keeps of a job.

    Raises:
        RedisError: from Redis.
    """
    for queue in QueueName:
        for priority in _PRIORITIES:
            yield from _waiting(redis, f"{queue}{priority}")
    workers: Any = redis.hgetall(WORKERS)
    for worker in workers:
        taken: Any = redis.hgetall(unacked_keys(worker)["unacked_key"])
        for held in _parsed(taken.values()):
            yield held[0] if isinstance(held, list) and held else held


def _waiting(redis: Redis, queue: str) -> Iterator[Any]:
    # Never all at once: a queue may be long, and its messages large. Those are added at the left,
    # so what comes meanwhile moves none out of sight.
    start = 0
    while part := redis.lrange(queue, start, start + _READ_AT_ONCE - 1):
        yield from _parsed(part)
        start += _READ_AT_ONCE


def _parsed(messages: Any) -> Iterator[Any]:
    for one in messages:
        with suppress(ValueError, RecursionError):
            yield json.loads(one)
