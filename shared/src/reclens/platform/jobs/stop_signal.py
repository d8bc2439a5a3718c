"""Whether a job should stop where it is: its worker stops, or somebody cancelled it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Protocol

from redis.exceptions import RedisError

POLL_SECONDS = 1.0
"""Whether a job was cancelled is asked at most this often."""


class Event(Protocol):
    """What `threading.Event` and `multiprocessing.Event` have in common."""

    def is_set(self) -> bool:
        """Whether it has happened."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait for it at most ``timeout`` seconds; whether it has happened."""
        ...


class StopSignal:
    """Reads as an event that is set when the worker stops or the job was cancelled.

    Several threads may share it.

    Args:
        stopping: set when the worker stops.
        cancelled: whether the job was cancelled; it is asked over the network.
        now: a clock, in seconds.
    """

    def __init__(
        self,
        stopping: Event,
        cancelled: Callable[[], bool],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stopping = stopping
        self._cancelled = cancelled
        self._now = now
        self._asking = threading.Lock()
        self._ask_at = -float("inf")
        self._found = False

    def is_set(self) -> bool:
        """Whether to stop, as of a second ago at most."""
        return self._stopping.is_set() or self._is_cancelled()

    def wait(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds; whether to stop."""
        until = self._now() + timeout
        while not self.is_set():
            left = until - self._now()
            if left <= 0:
                return False
            self._stopping.wait(min(left, POLL_SECONDS))
        return True

    def _is_cancelled(self) -> bool:
        if self._found or self._now() < self._ask_at:
            return self._found
        with self._asking:
            # Another thread may have asked meanwhile.
            if not self._found and self._now() >= self._ask_at:
                # Not to know is no reason to stop. Whoever must know notices that Redis is away.
                with contextlib.suppress(RedisError):
                    self._found = self._cancelled()
                self._ask_at = self._now() + POLL_SECONDS
            return self._found
