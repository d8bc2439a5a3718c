"""Admission control: how many calls and streams at once, and how much each client may send."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from functools import cache
from time import monotonic
from typing import Any, Final

import structlog
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from pydantic import Field

from reclens.errors import DeadlineExceeded, Overloaded, RateLimited, Unavailable
from reclens.platform.observability import metrics
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


class Session:
    """One open stream."""

    def __init__(self, draining: asyncio.Event) -> None:
        self._draining = draining
        self.drained = False
        """Whether it was cut short, as the server stops."""

    async def until_drained(self, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The caller's messages; they end early when the server stops, so that the handler finishes
        what it has under way."""
        stopping = asyncio.ensure_future(self._draining.wait())
        messages = aiter(messages)
        coming: asyncio.Future[Any] | None = None
        try:
            while True:
                coming = asyncio.ensure_future(anext(messages, _END))
                await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    self.drained = True
                    return
                message = coming.result()
                if message is _END:
                    return
                yield message
        finally:
            stopping.cancel()
            if coming is not None:
                coming.cancel()


class Sessions:
    """Counts open streams.

    Args:
        limit: streams at once. 0: no bound.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit or float("inf")
        self._draining = asyncio.Event()
        self.open = 0
        """Streams open now."""

    def enter(self) -> Session:
        """Open one; it must `leave` later.

        Raises:
            Overloaded: too many are open.
            Unavailable: the server is stopping.
        """
        if self._draining.is_set():
            raise Unavailable("the server is being stopped.", remedy="ask another server.")
        if self.open >= self._limit:
            raise Overloaded(
                f"{self.open} sessions are open already.",
                remedy="try again later, or send single requests.",
                retry_seconds=1.0,
            )
        self.open += 1
        return Session(self._draining)

    def leave(self) -> None:
        """One stream has ended."""
        self.open -= 1

    def drain(self) -> None:
        """Let all end after what they have under way; open no more."""
        self._draining.set()


_END = object()


_PREFIX: Final = "reclens:rate"
_REDIS_SECONDS: Final = 0.25
_LOG_SECONDS: Final = 10.0
_LONGEST_BLOCK: Final = 1.0
logger = structlog.get_logger(__name__)


class RateLimits:
    """Counts what clients send in a sliding window.

    The window is counted in two halves of constant size (this period and the one before), not as a
    list of every request, so that a client costs two keys in Redis whatever its rate. Both expire
    by themselves.

    Args:
        redis_url: Redis that gateways share. Empty: this process counts for itself.
        fail_open: let clients call while Redis does not answer.
    """

    def __init__(self, redis_url: str = "", *, fail_open: bool = True) -> None:
        self._storage: Storage = (
            RedisStorage(
                f"async+{redis_url}",
                wrap_exceptions=True,
                implementation="redispy",
                key_prefix=_PREFIX,
                socket_timeout=_REDIS_SECONDS,
                socket_connect_timeout=_REDIS_SECONDS,
            )
            if redis_url
            else MemoryStorage(wrap_exceptions=True)
        )
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._fail_open = fail_open
        self._item = cache(RateLimitItemPerSecond)
        self._blocked: dict[str, tuple[float, float]] = {}
        self._logged = float("-inf")

    async def take(self, client: str, rate: tuple[int, int], weight: int = 1) -> None:
        """Count ``weight`` requests of ``client``.

        Args:
            client: its name.
            rate: requests and seconds.
            weight: requests at once; one that is above the whole rate counts as the whole rate.

        Raises:
            RateLimited: it has sent too much; says when to go on. Nothing is counted.
            Unavailable: Redis does not answer, and such clients are to be refused then.
        """
        item = self._item(*rate)
        cost = min(max(weight, 1), rate[0])
        if client in self._blocked:
            # Refused a moment ago: to refuse it again takes no question to Redis.
            now, (blocked_until, free_at) = time.monotonic(), self._blocked[client]
            if now < blocked_until:
                raise self._refusal(client, rate, free_at - now)
            del self._blocked[client]
        try:
            async with asyncio.timeout(2 * _REDIS_SECONDS):
                if await self._limiter.hit(item, client, cost=cost):
                    return
                stats = await self._limiter.get_window_stats(item, client)
        except (StorageError, TimeoutError, OSError) as error:
            self._away(error)
            return
        # Room for this many comes back when their share of the period has passed.
        share = rate[1] * cost / rate[0]
        slides = stats.reset_time - time.time() if not stats.remaining else 0.0
        wait = min(max(slides, share), float(rate[1]))
        if cost == 1:
            now = time.monotonic()
            self._blocked[client] = now + min(wait, _LONGEST_BLOCK), now + wait
        raise self._refusal(client, rate, wait)

    def _refusal(self, client: str, rate: tuple[int, int], wait: float) -> RateLimited:
        metrics.observe_rate_limited(client)
        return RateLimited(
            f"{client!r} may send {rate[0]} requests in {rate[1]} s, and has.",
            remedy="go on after the delay, or ask for a higher rate.",
            retry_seconds=wait,
        )

    async def close(self) -> None:
        """Close connections."""
        if isinstance(self._storage, RedisStorage):
            await self._storage.bridge.get_connection().aclose()  # pyright: ignore

    def _away(self, error: Exception) -> None:
        metrics.current().rate_store_failures.inc()
        now = time.monotonic()
        if now - self._logged > _LOG_SECONDS:
            self._logged = now
            logger.error(
                "rates cannot be counted",
                error=type(error).__name__,
                answer="let in" if self._fail_open else "refuse",
            )
        if not self._fail_open:
            raise Unavailable(
                "requests cannot be counted just now.",
                remedy="try again in a moment.",
                retry_seconds=1.0,
            ) from error
