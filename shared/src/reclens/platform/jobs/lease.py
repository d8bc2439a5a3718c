"""A renewing lease on an artifact, so that one worker at a time makes it.

A lease says which process of which worker holds it. It ends with its time, and with the worker: a
worker that the failure detector has struck off, or that has left, holds nothing any more. The
parent of a pool ends the leases of a process that died.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import Self

from redis import Redis
from redis.exceptions import LockError, RedisError

from reclens.errors import LeaseLost

WORKERS = "reclens:workers"
"""Hash of the workers that live, each with its count of heartbeats; see
`reclens.platform.celery.failure_detector`."""

_BEGIN_SECONDS = 10.0


class Lease:
    """Holds ``reclens:lease:{ref}`` while the block runs, renewed three times within its life.

    ``acquire`` does not wait. A holder that dies is followed after ``seconds`` at most.

    Args:
        redis: a client.
        ref: of the artifact.
        seconds: its life.
        worker: that holds it, as the failure detector knows it. Empty: none that it knows.
        progress_seconds: without `touch` for so long it is no longer renewed. 0: for ever.
        on_stall: called then, in the thread that renews.
    """

    def __init__(
        self,
        redis: Redis,
        ref: str,
        seconds: float,
        worker: str = "",
        *,
        progress_seconds: float = 0.0,
        on_stall: Callable[[], None] = lambda: None,
    ) -> None:
        self._redis = redis
        self._lock = redis.lock(f"reclens:lease:{ref}", timeout=seconds, thread_local=False)
        self._worker = worker
        self._progress_seconds = progress_seconds
        self._on_stall = on_stall
        self._touched = time.monotonic()
        self._ref = ref
        self._interval = seconds / 3
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._begun = threading.Event()
        self._ended = threading.Event()

    def acquire(self) -> bool:
        """Take the lease; False where another worker holds it.

        Raises:
            MemoryError: the thread that renews it did not begin.
        """
        token = f"{_holder(self._worker, os.getpid())}{uuid.uuid4().hex}"
        if self._worker:
            # Its first heartbeat may be still to come.
            self._redis.hsetnx(WORKERS, self._worker, "0")
        if not self._lock.acquire(blocking=False, token=token):
            self._end_orphaned()
            if not self._lock.acquire(blocking=False, token=token):
                return False
        # `Thread.start` waits for ever where the thread is short of memory before its first line.
        _thread.start_new_thread(self._renew, ())
        if not self._begun.wait(_BEGIN_SECONDS):
            raise MemoryError(f"no thread began to renew the lease on {self._ref}")
        return True

    def end_of(self, pid: int) -> None:
        """End the lease where process ``pid`` of this worker holds it: it is dead.

        Raises:
            RedisError: Redis does not answer; the lease ends with its time.
        """
        self._end(_holder(self._worker, pid))

    def _end_orphaned(self) -> None:
        token = str(self._redis.get(self._lock.name) or "")
        worker, separator, _ = token.partition("/")
        if separator and worker and self._redis.hget(WORKERS, worker) is None:
            self._end(f"{worker}/")

    def _end(self, holder: str) -> None:
        token = str(self._redis.get(self._lock.name) or "")
        if token.startswith(holder):
            # Another may have taken it since it was read.
            with contextlib.suppress(LockError):
                self._lock.do_release(token)

    def touch(self) -> None:
        """Say that the work goes on."""
        self._touched = time.monotonic()

    def check(self) -> None:
        """Fence: call before anything becomes visible.

        Raises:
            LeaseLost: another worker may hold the lease by now.
        """
        if self._lost.is_set() or not self._lock.owned():
            raise LeaseLost(f"the lease on {self._ref} was lost.", field="artifact")

    def _renew(self) -> None:
        self._begun.set()
        try:
            self._renew_until_stopped()
        finally:
            self._ended.set()

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(self._interval):
            if 0 < self._progress_seconds < time.monotonic() - self._touched:
                self._lost.set()
                self._on_stall()
                return
            try:
                self._lock.reacquire()
            except LockError:
                self._lost.set()
                return
            except RedisError:
                continue  # the lease may outlive a short outage; `check` decides

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_ended_by: object) -> None:
        self._stop.set()
        if self._begun.is_set():
            self._ended.wait()
        try:
            self._lock.release()
        except (LockError, RedisError):
            return  # already expired, or Redis is gone: it expires by itself


def _holder(worker: str, pid: int) -> str:
    return f"{worker}/{pid}/"
