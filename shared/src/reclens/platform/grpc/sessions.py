"""The streams that are open on a server: bounded, and ended in order when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from reclens.errors import Overloaded, Unavailable


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

    def leave(self, session: Session) -> None:
        """One stream has ended."""
        del session
        self.open -= 1

    def drain(self) -> None:
        """Let all end after what they have under way; open no more."""
        self._draining.set()


_END = object()
