"""Whether a job should stop where it is: its worker stops, or somebody cancelled it."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event

from redis.exceptions import RedisError

POLL_SECONDS = 1.0
"""Whether a job was cancelled is asked at most this often."""


class StopSignal(threading.Event):
    """An event that is set when the worker stops or the job was cancelled.

    Several threads may share it.

    Args:
        stopping: set when the worker stops.
        cancelled: whether the job was cancelled; it is asked over the network.
        now: a clock, in seconds.
    """

    def __init__(
        self,
        stopping: Event | threading.Event,
        cancelled: Callable[[], bool],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._stopping = stopping
        self._cancelled = cancelled
        self._now = now
        self._asking = threading.Lock()
        self._ask_at = -math.inf

    def is_set(self) -> bool:
        """Whether to stop, as of a second ago at most."""
        return self._stopping.is_set() or self._is_cancelled()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most ``timeout`` seconds, None: until it is set; whether to stop."""
        until = self._now() + (math.inf if timeout is None else timeout)
        while not self.is_set():
            left = until - self._now()
            if left <= 0:
                return False
            self._stopping.wait(min(left, POLL_SECONDS))
        return True

    def _is_cancelled(self) -> bool:
        with self._asking:
            # Of several threads one asks.
            if not super().is_set() and self._now() >= self._ask_at:
                # Not to know is no reason to stop. Whoever must know notices that Redis is away.
                with contextlib.suppress(RedisError):
                    if self._cancelled():
                        self.set()
                self._ask_at = self._now() + POLL_SECONDS
            return super().is_set()
