"""Keeps requests from asking the store again and again for policies that it does not have."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_MAX_REMEMBERED = 10_000
"""Names that are remembered to be missing."""
_AWAY_SECONDS = 1.0
"""How long a store that did not answer is left alone."""


class Lookups:
    """Says whether the store may be asked.

    Args:
        remember_seconds: how long something that was not there is taken to be missing still.
        per_second: questions that may be asked; as many at once after a pause.
        clock: seconds that only rise.
    """

    def __init__(
        self,
        remember_seconds: float,
        per_second: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._remember_seconds = remember_seconds
        self._per_second = per_second
        self._clock = clock
        self._missing: OrderedDict[tuple[str, int], float] = OrderedDict()
        self._allowance = per_second
        self._counted_at = clock()
        self._away_until = 0.0

    def is_missing(self, name: tuple[str, int]) -> bool:
        """Whether ``name`` was looked for a short time ago and was not there."""
        until = self._missing.get(name, 0.0)
        if until > self._clock():
            return True
        self._missing.pop(name, None)
        return False

    def note_missing(self, name: tuple[str, int]) -> None:
        """``name`` was not there."""
        self._missing[name] = self._clock() + self._remember_seconds
        self._missing.move_to_end(name)
        if len(self._missing) > _MAX_REMEMBERED:
            self._missing.popitem(last=False)

    def note_away(self) -> None:
        """The store did not answer."""
        self._away_until = self._clock() + _AWAY_SECONDS

    @property
    def away(self) -> bool:
        """Whether the store did not answer just now."""
        return self._clock() < self._away_until

    def take(self) -> float:
        """Count one question; seconds until it may be asked, 0 where it may be asked now."""
        now = self._clock()
        earned = (now - self._counted_at) * self._per_second
        self._allowance = min(self._per_second, self._allowance + earned)
        self._counted_at = now
        if self._allowance < 1:
            return (1 - self._allowance) / self._per_second
        self._allowance -= 1
        return 0.0
