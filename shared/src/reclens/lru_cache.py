"""A least recently used cache that is bounded by the size of what it keeps, not by its number."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Keeps values until they take more than ``max_size``; the least recently used go first.

    Args:
        max_size: what all values together may take.
        size_of: what a value takes, the same at every call; by default 1, so that they are counted.
    """

    def __init__(self, max_size: int, size_of: Callable[[V], int] = lambda _: 1) -> None:
        self.max_size = max_size
        self.size = 0
        """What the kept values take."""
        self._size_of = size_of
        self._kept: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

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
            self.size -= self._size_of(before)
        size = self._size_of(value)
        if size > self.max_size:
            return
        self._kept[key] = value
        self.size += size
        while self.size > self.max_size:
            self.size -= self._size_of(self._kept.popitem(last=False)[1])
