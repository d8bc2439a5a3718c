"""What keeps requests from asking the store too often: LRU and negative cache, token bucket."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that tells its size, as messages do."""

    def ByteSize(self) -> int: ...  # noqa: N802


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Sized)

Clock = Callable[[], float]
"""Seconds that only rise."""


class LruCache(Generic[K, V]):
    """Keeps values until they take more than ``max_bytes``; the least recently used go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._bytes = 0

    def get(self, key: K) -> V | None:
        """The value of ``key``, where it is kept."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: K, value: V) -> None:
        """Keep a value, unless it is larger than all room there is."""
        before = self._kept.pop(key, None)
        if before is not None:
            self._bytes -= before.ByteSize()
        self._kept[key] = value
        self._bytes += value.ByteSize()
        while self._bytes > self._max_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].ByteSize()


class NegativeCache(Generic[K]):
    """Remembers for a time what was looked for and is not there, as many keys as ``max_keys``."""

    def __init__(
        self, seconds: float, max_keys: int = 10_000, clock: Clock = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._max_keys = max_keys
        self._clock = clock
        self._missing_until: OrderedDict[K, float] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        if self._missing_until.get(key, 0.0) > self._clock():
            return True
        self._missing_until.pop(key, None)
        return False

    def add(self, key: K) -> None:
        """``key`` was not there."""
        self._missing_until[key] = self._clock() + self._seconds
        self._missing_until.move_to_end(key)
        if len(self._missing_until) > self._max_keys:
            self._missing_until.popitem(last=False)


class TokenBucket:
    """Lets ``per_second`` through, and as many at once after a pause."""

    def __init__(self, per_second: float, clock: Clock = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._tokens = per_second
        self._filled_at = clock()

    def take(self) -> float:
        """Take a token; seconds until there is one, 0 where one was taken."""
        now = self._clock()
        earned = (now - self._filled_at) * self._per_second
        self._tokens = min(self._per_second, self._tokens + earned)
        self._filled_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._per_second
        self._tokens -= 1
        return 0.0
