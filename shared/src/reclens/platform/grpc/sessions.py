"""Open streams: how many, how long, and that who opened one may still have it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any, Final

from reclens.errors import Cancelled, Overloaded, RecLensError, Unavailable

CHECK_SECONDS: Final = 1.0
"""How often open streams are looked over."""
_TO_FINISH_SECONDS: Final = 10.0
_END = object()


class Session:
    """One open stream.

    Args:
        task: of the stream.
        check: raises what must end it at once, as when its token was revoked.
    """

    def __init__(self, task: asyncio.Task[Any], check: Callable[[], object]) -> None:
        self.ending: RecLensError | None = None
        """Why the server ends it. None: it does not."""
        self.opened = self.used = monotonic()
        self.kept = 0
        """Bytes of its newest message, which is kept until the next one."""
        self.check = check
        self._task = task
        self._ended = asyncio.Event()

    def finish(self, why: RecLensError) -> None:
        """End it after the step that is under way."""
        if self.ending is None:
            self.ending = why
            self._ended.set()

    def cut(self, why: RecLensError) -> None:
        """End it at once."""
        self.ending = why
        self._task.cancel()

    async def messages(self, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The caller's messages. They end early when the server ends the stream, so that the
        handler finishes what it has under way."""
        ended = asyncio.ensure_future(self._ended.wait())
        messages = aiter(messages)
        coming: asyncio.Future[Any] | None = None
        try:
            while True:
                coming = asyncio.ensure_future(anext(messages, _END))
                await asyncio.wait({coming, ended}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    return
                message = coming.result()
                if message is _END:
                    return
                self.used = monotonic()
                yield message
        finally:
            ended.cancel()
            if coming is not None:
                coming.cancel()


class Sessions:
    """Counts open streams, and ends those that are too old, idle, or of a client that may no more.

    Args:
        limit: streams at once. 0: no bound.
        client_limit: of these, streams of one client. 0: no bound.
        seconds: that a stream may last.
        idle_seconds: that nothing may pass on one.
        max_kept: bytes of the newest messages of all streams, of which one client has half.
    """

    def __init__(
        self,
        limit: int,
        client_limit: int = 0,
        *,
        max_kept: int = 256 << 20,
        seconds: float = float("inf"),
        idle_seconds: float = float("inf"),
    ) -> None:
        self._limit = limit or float("inf")
        self._client_limit = client_limit or float("inf")
        self._seconds = seconds
        self._idle_seconds = idle_seconds
        self._stopping = False
        self._looking_over = False
        self._open: dict[Session, str] = {}
        self._of_client: Counter[str] = Counter()
        self._max_kept = max_kept
        self._kept = 0
        self._kept_of_client: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """Streams open now."""
        return len(self._open)

    def enter(self, client: str, check: Callable[[], object]) -> Session:
        """Open one in the current task; it must `leave` later.

        Args:
            client: who opens it. Empty: not known, so that only all streams together are bounded.
            check: called every `CHECK_SECONDS`; what it raises ends the stream at once.

        Raises:
            Overloaded: too many are open.
            Unavailable: the server is stopping.
        """
        if self._stopping:
            raise Unavailable("the server is being stopped.", remedy="ask another server.")
        own = self._of_client[client] if client else 0
        if self.open >= self._limit or own >= self._client_limit:
            of_whom = f" of {client!r}" if own >= self._client_limit else ""
            raise Overloaded(
                f"{own if of_whom else self.open} sessions{of_whom} are open already.",
                remedy="try again later, or send single requests.",
                retry_seconds=1.0,
            )
        task = asyncio.current_task()
        assert task is not None
        session = Session(task, check)
        self._open[session] = client
        self._of_client[client] += 1
        if not self._looking_over:
            self._looking_over = True
            asyncio.get_running_loop().call_later(CHECK_SECONDS, self._look_over)
        return session

    def keep(self, session: Session, size: int) -> None:
        """Note that the newest message of a stream has ``size`` bytes.

        Raises:
            Overloaded: those of all streams take too much memory, or those of its client.
        """
        client, more = self._open[session], size - session.kept
        session.kept = size
        self._kept += more
        if client:
            self._kept_of_client[client] += more
        too_much = self._kept_of_client[client] > self._max_kept // 2
        if more > 0 and (too_much or self._kept > self._max_kept):
            raise Overloaded(
                f"the last steps of open sessions take {self._kept} bytes.",
                remedy="end sessions that are not needed, or send smaller steps.",
                retry_seconds=1.0,
            )

    def leave(self, session: Session) -> None:
        """One stream has ended."""
        self.keep(session, 0)
        client = self._open.pop(session)
        self._of_client[client] -= 1
        if not self._of_client[client]:
            del self._of_client[client]
            self._kept_of_client.pop(client, None)

    def drain(self) -> None:
        """Let all end after what they have under way; open no more."""
        self._stopping = True
        for session in self._open:
            session.finish(_open_anew("the server is being stopped."))

    def _look_over(self) -> None:
        now = monotonic()
        for session in list(self._open):
            try:
                session.check()
            except RecLensError as error:
                session.cut(error)
                continue
            if now - session.used > self._idle_seconds:
                session.cut(
                    Cancelled(
                        f"nothing passed on the stream for {self._idle_seconds:g} s.",
                        remedy="open a new one when there is something to ask.",
                    )
                )
            elif now - session.opened > self._seconds + _TO_FINISH_SECONDS:
                session.cut(_open_anew("the stream has lasted too long."))
            elif now - session.opened > self._seconds:
                session.finish(_open_anew("the stream has lasted too long."))
        self._looking_over = bool(self._open)
        if self._open:
            asyncio.get_running_loop().call_later(CHECK_SECONDS, self._look_over)


def _open_anew(message: str) -> Unavailable:
    return Unavailable(message, remedy="open the session anew.", retry_seconds=0.1)
