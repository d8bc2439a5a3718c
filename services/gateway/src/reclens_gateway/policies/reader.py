"""The store of policies, asked on threads of its own, and sparingly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from reclens.errors import CorruptArtifact, NotFound, Overloaded, Unavailable
from reclens.lru_cache import LruCache
from reclens.platform.store.policy_log import PolicyLog
from reclens.steering.policies import StoredPolicy

T = TypeVar("T")

Clock = Callable[[], float]
"""Seconds that only rise."""

_THREADS = 4
_MAX_LOOKUPS = 16
_LOOKUPS_PER_SECOND = 20.0
_MAX_MISSING = 10_000
"""Names that are remembered to be missing."""
_AWAY_SECONDS = 1.0
"""How long a store that did not answer is left alone."""


class StoredVersion(NamedTuple):
    """What the store has under a name."""

    version: int
    """Which version."""
    entry: StoredPolicy | CorruptArtifact
    """What it says, or why it cannot be read."""


class PolicyReader:
    """Looks up in the store what requests name and the snapshot does not have.

    Threads of its own, as a store that hangs must hold up nothing else. Requests for the same are
    coalesced into one lookup, a negative cache remembers what is not there, and lookups are
    limited in number and rate.

    Args:
        log: the store.
        missing_seconds: how long something that was not there is taken to be missing still.
        clock: seconds that only rise.
    """

    def __init__(self, log: PolicyLog, missing_seconds: float, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._missing_seconds = missing_seconds
        self._missing_until: LruCache[tuple[str, int], float] = LruCache(_MAX_MISSING)
        self._rate = TokenBucket(_LOOKUPS_PER_SECOND, clock)
        self._away_until = 0.0
        self._threads = ThreadPoolExecutor(_THREADS, "policies")
        self._lookups: dict[tuple[str, int], asyncio.Task[StoredVersion | None]] = {}

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call on a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*arguments))

    def close(self) -> None:
        """Give up what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def read(self, policy_id: str, version: int = 0) -> StoredVersion | None:
        """Read a version from the store; 0: the newest. None: there is none.

        Raises:
            Unavailable: it does not answer.
        """
        number = version
        try:
            if not version:
                number = max(await self.run(self._log.versions, policy_id), default=0)
            if number:
                return StoredVersion(number, await self.run(self._log.version, policy_id, number))
        except NotFound:
            pass
        except CorruptArtifact as error:
            return StoredVersion(number, error.bare())
        except Unavailable:
            self._away_until = self._clock() + _AWAY_SECONDS
            raise
        self._missing_until.keep((policy_id, version), self._clock() + self._missing_seconds)
        return None

    async def look_up(
        self, policy_id: str, version: int, *, exists: bool, fresh: bool
    ) -> StoredVersion | None:
        """As `read`, but for requests: coalesced, and only so often.

        Args:
            policy_id: whose.
            version: which; 0: the newest.
            exists: whether it is known to be there.
            fresh: whether all names were read a short time ago, so that one that is unknown may be
                taken to be missing where the store may not be asked.

        Raises:
            Unavailable: the store does not answer, now or a moment ago.
            Overloaded: it has been asked too often.
        """
        name = (policy_id, version)
        task = self._lookups.get(name)
        if task is None:
            if not exists and self._clock() < (self._missing_until.get(name) or 0.0):
                return None
            if self._clock() < self._away_until:
                raise Unavailable(
                    "the store of policies does not answer.", remedy="try again in a moment."
                )
            wait = 1.0 if len(self._lookups) >= _MAX_LOOKUPS else self._rate.take()
            if wait and fresh and not exists:
                return None
            if wait:
                raise Overloaded(
                    "too many policies are asked for that are not loaded.",
                    remedy="ask for newest versions, or less often.",
                    retry_seconds=wait,
                )
            task = asyncio.create_task(self.read(policy_id, version))
            self._lookups[name] = task
            task.add_done_callback(lambda done: self._looked_up(name, done))
        # Others may wait for the same answer when this caller goes away.
        return await asyncio.shield(task)

    def _looked_up(self, name: tuple[str, int], task: asyncio.Task[StoredVersion | None]) -> None:
        self._lookups.pop(name, None)
        if not task.cancelled():
            task.exception()


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
