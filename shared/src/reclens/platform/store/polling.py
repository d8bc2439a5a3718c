"""What is read from the store now and again, while what was read before goes on serving."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod

import structlog

from reclens.errors import RecLensError

logger = structlog.get_logger(__name__)


class Polled(ABC):
    """Something that is read in the background. That it cannot be read is logged.

    Args:
        what: in words, for the log.
        poll_seconds: time between readings.
    """

    def __init__(self, what: str, poll_seconds: float) -> None:
        self._what = what
        self.poll_seconds = poll_seconds
        self._polling: asyncio.Task[None] | None = None

    @abstractmethod
    async def refresh(self) -> None:
        """Read now.

        Raises:
            RecLensError: it cannot be read; what was read before stays.
        """

    async def poll(self) -> None:
        """Read now. That it cannot be read is no error yet."""
        try:
            await self.refresh()
        except RecLensError as error:
            logger.warning(f"{self._what} cannot be read", error=error.sentence)
        except Exception:
            logger.exception(f"{self._what} cannot be read")

    async def start(self) -> None:
        """Read now and go on reading in the background."""
        self._polling = asyncio.create_task(self._poll_on())

    async def stop(self) -> None:
        """Stop reading."""
        if self._polling is not None:
            self._polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._polling
            self._polling = None

    async def _poll_on(self) -> None:
        while True:
            await self.poll()
            await asyncio.sleep(self.poll_seconds)
