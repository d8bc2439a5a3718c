"""The store of policies, asked on threads of its own, and sparingly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from reclens.contracts import StoredPolicy
from reclens.errors import CorruptArtifact, NotFound, Overloaded, Unavailable
from reclens.platform.store.policy_log import PolicyLog
from reclens_gateway.policies.lookups import Lookups

T = TypeVar("T")

_THREADS = 4
_MAX_ASKING = 16


class Found(NamedTuple):
    """What the store has under a name."""

    version: int
    """Which version."""
    entry: StoredPolicy | CorruptArtifact
    """What it says, or why it cannot be read."""


class PolicyReader:
    """Asks the store what requests want to know.

    Threads of its own, as a store that hangs must hold up nothing else.

    Args:
        log: the store.
        lookups: guards it against being asked for what it does not have.
    """

    def __init__(self, log: PolicyLog, lookups: Lookups) -> None:
        self._log = log
        self._lookups = lookups
        self._threads = ThreadPoolExecutor(_THREADS, "policies")
        self._asking: dict[tuple[str, int], asyncio.Task[Found | None]] = {}

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call on a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*arguments))

    def close(self) -> None:
        """Give up what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def look_up(self, policy_id: str, version: int = 0) -> Found | None:
        """Ask the store for a version; 0: the newest. None: there is none.

        Raises:
            Unavailable: it does not answer.
        """
        number = version
        try:
            if not version:
                number = max(await self.run(self._log.versions, policy_id), default=0)
            if number:
                return Found(number, await self.run(self._log.version, policy_id, number))
        except NotFound:
            pass
        except CorruptArtifact as error:
            return Found(number, error)
        except Unavailable:
            self._lookups.note_away()
            raise
        self._lookups.note_missing((policy_id, version))
        return None

    async def ask(self, policy_id: str, version: int, *, exists: bool, fresh: bool) -> Found | None:
        """As `look_up`, but for requests: together with all who ask the same, and only so often.

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
        task = self._asking.get(name)
        if task is None:
            if not exists and self._lookups.is_missing(name):
                return None
            if self._lookups.away:
                raise Unavailable(
                    "the store of policies does not answer.", remedy="try again in a moment."
                )
            wait = 1.0 if len(self._asking) >= _MAX_ASKING else self._lookups.take()
            if wait and fresh and not exists:
                return None
            if wait:
                raise Overloaded(
                    "too many policies are asked for that are not loaded.",
                    remedy="ask for newest versions, or less often.",
                    retry_seconds=wait,
                )
            task = asyncio.create_task(self.look_up(policy_id, version))
            self._asking[name] = task
            task.add_done_callback(lambda done: self._asked(name, done))
        # Others may wait for the same answer when this caller goes away.
        return await asyncio.shield(task)

    def _asked(self, name: tuple[str, int], task: asyncio.Task[Found | None]) -> None:
        self._asking.pop(name, None)
        if not task.cancelled():
            task.exception()
