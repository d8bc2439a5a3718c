"""Admission control: so many calls at once, and none that would come too late anyway."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import Final

from pydantic import Field

from reclens.errors import DeadlineExceeded, Overloaded
from reclens.platform.settings.models import Section

_WINDOW_SECONDS: Final = 0.25
_LONGEST_WAIT: Final = 0.5
"""Share of what is left until its deadline that a call's estimated wait may take: the estimate is
of the past, and a call that is answered too late has cost as much as one in time."""
_SHORTEST_RETRY: Final = 0.05
_LONGEST_RETRY: Final = 30.0


class AdmissionSettings(Section):
    """How much is taken on at once."""

    max_running: int = Field(default=256, ge=0, le=100_000)
    """Calls under way in one process; further ones are refused as RESOURCE_EXHAUSTED before they
    are read. 0: no bound."""
    max_sessions: int = Field(default=1000, ge=0, le=100_000)
    """Streams open in one process. 0: no bound."""
    max_pending: int = Field(default=256, ge=1, le=100_000)
    """Calls that gRPC keeps before Python sees them. What comes above is dropped in C, at a tenth
    of what a refusal costs; its callers see CANCELLED, with no details."""


class Admission:
    """Counts calls under way and measures how fast they end.

    The wait of a call that is let in now is the number of calls under way over the rate at which
    they end (Little's law). The rate is that of the last busy stretch: when little is asked, few
    calls end, which says nothing of how many could.

    Args:
        limit: calls at once. 0: no bound.
        clock: seconds.
        draw: from [0, 1), so that those who were refused together do not come back together.
    """

    def __init__(
        self,
        limit: int,
        clock: Callable[[], float] = monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._limit = limit or float("inf")
        self._clock = clock
        self._draw = draw
        self.running = 0
        """Calls under way."""
        self.rate = 0.0
        """Calls a second that end under load. 0: not known yet."""
        self._ended = 0
        self._least = 0
        self._since = clock()

    @property
    def full(self) -> bool:
        """Whether one more would be too many."""
        return self.running >= self._limit

    @property
    def wait_seconds(self) -> float:
        """How long a call that is let in now would take. 0: not known."""
        return self.running / self.rate if self.rate else 0.0

    def enter(self, seconds_left: float | None) -> None:
        """Let one call in; it must `leave` later.

        Args:
            seconds_left: until its deadline. None: it has none.

        Raises:
            Overloaded: too many are under way, or its answer would come after its deadline.
            DeadlineExceeded: the deadline has passed.
        """
        if seconds_left is not None and seconds_left <= 0:
            raise DeadlineExceeded("the deadline passed.", remedy="allow more time.")
        if self.running >= self._limit:
            raise self.refusal()
        if self.running and seconds_left is not None and self.rate:
            wait = self.running / self.rate
            if wait > _LONGEST_WAIT * seconds_left:
                raise Overloaded(
                    f"an answer would take about {wait:.2g} s, and the deadline is in"
                    f" {seconds_left:.2g} s.",
                    remedy="allow more time, or send less.",
                    retry_seconds=self.retry_seconds(),
                )
        self.running += 1

    def leave(self, *, answered: bool = True) -> None:
        """One call has ended.

        Args:
            answered: whether by an answer or a reason. One that was given up frees its place, but
                says nothing of how fast answers come.
        """
        self.running -= 1
        self._ended += answered
        self._least = min(self._least, self.running)
        elapsed = self._clock() - self._since
        if elapsed < _WINDOW_SECONDS:
            return
        measured = self._ended / elapsed
        # There was always something to do, so this is as fast as it goes; else it goes at least
        # this fast.
        if self._least > 0 and self.rate:
            self.rate += (measured - self.rate) / 2
        elif self._least > 0:
            self.rate = measured
        elif self.rate:
            self.rate = max(self.rate, measured)
        self._ended, self._least = 0, self.running
        self._since += elapsed

    def refusal(self) -> Overloaded:
        """What the call that is too many is told."""
        return Overloaded(
            f"{self.running} requests are being answered already.",
            remedy="try again after the delay, or send fewer at once.",
            retry_seconds=self.retry_seconds(),
        )

    def retry_seconds(self) -> float:
        """When to try again: when what is under way has ended, give or take a quarter."""
        wait = self.wait_seconds * (0.75 + self._draw() / 2)
        return min(max(wait, _SHORTEST_RETRY), _LONGEST_RETRY)
