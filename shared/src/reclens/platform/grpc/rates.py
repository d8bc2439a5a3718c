"""How much each client may send: rates in a sliding window that servers count together."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import Final

import structlog
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from reclens.errors import InvalidInput, RateLimited, Unavailable
from reclens.platform.observability import metrics

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
            weight: requests at once.

        Raises:
            InvalidInput: they are more than the whole rate.
            RateLimited: it has sent too much; says when to go on. Nothing is counted.
            Unavailable: Redis does not answer, and such clients are to be refused then.
        """
        cost = max(weight, 1)
        if cost > rate[0]:
            raise InvalidInput(
                f"{cost} requests at once are more than {client!r} may send in {rate[1]} s.",
                remedy=f"send at most {rate[0]} at once, or ask for a higher rate.",
            )
        item = self._item(*rate)
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
