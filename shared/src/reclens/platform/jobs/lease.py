"""A renewing lease on an artifact, so that one worker at a time makes it."""

from __future__ import annotations

import threading
from typing import Self

from redis import Redis
from redis.exceptions import LockError, RedisError

from reclens.errors import LeaseLost


class Lease:
    """Holds ``reclens:lease:{ref}`` while the block runs, renewed three times within its life.

    ``acquire`` does not wait. A holder that dies is followed after ``seconds`` at most.
    """

    def __init__(self, redis: Redis, ref: str, seconds: float) -> None:
        self._lock = redis.lock(f"reclens:lease:{ref}", timeout=seconds, thread_local=False)
        self._ref = ref
        self._interval = seconds / 3
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def acquire(self) -> bool:
        """Take the lease; False where another worker holds it."""
        if not self._lock.acquire(blocking=False):
            return False
        self._thread.start()
        return True

    def check(self) -> None:
        """Fence: call before anything becomes visible.

        Raises:
            LeaseLost: another worker may hold the lease by now.
        """
        if self._lost.is_set() or not self._lock.owned():
            raise LeaseLost(f"the lease on {self._ref} was lost.", field="artifact")

    def _renew(self) -> None:
        while not self._stop.wait(self._interval):
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
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._lock.release()
        except (LockError, RedisError):
            return  # already expired, or Redis is gone: it expires by itself
