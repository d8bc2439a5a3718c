"""Doing the same again and again: until it is so, or in the background of an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from reclens.errors import RecLensError

logger = structlog.get_logger(__name__)


def poll_until(reached: Callable[[], bool], *, seconds: float, every: float) -> bool:
    """Ask, and again ``every`` so many seconds; whether it was ``reached`` within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


class Poller:
    """Polls every so many seconds. A poll that fails is logged, and the next one is tried.

    Args:
        poll: what is done.
        seconds: time between polls.
        failure: what is logged of one that fails.
    """

    def __init__(self, poll: Callable[[], Awaitable[object]], seconds: float, failure: str) -> None:
        self._poll = poll
        self.poll_seconds = seconds
        """Time between polls."""
        self._failure = failure
        self._task: asyncio.Task[None] | None = None

    async def poll_once(self) -> None:
        """Poll now; a failure is logged."""
        try:
            await self._poll()
        except RecLensError as error:
            logger.warning(self._failure, error=error.sentence)
        except Exception:
            logger.exception(self._failure)

    async def start(self) -> None:
        """Poll now and go on polling in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop polling."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            await self.poll_once()
            await asyncio.sleep(self.poll_seconds)
