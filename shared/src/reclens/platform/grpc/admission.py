"""Admission control: how many calls at once, and how many bytes of their messages."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from grpc import aio
from pydantic import Field

from reclens.errors import DeadlineExceeded, InvalidInput, Overloaded
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
    max_client_running: int = Field(default=128, ge=0, le=100_000)
    """Of these, calls of one client. 0: no bound."""
    max_sessions: int = Field(default=1000, ge=0, le=100_000)
    """Streams open in one process. 0: no bound."""
    max_client_sessions: int = Field(default=250, ge=0, le=100_000)
    """Of these, streams of one client. 0: no bound."""
    session_seconds: float = Field(default=3600, gt=0, le=604_800)
    """How long a stream may last. Then it ends after the step that is under way, and its caller
    opens another one."""
    idle_seconds: float = Field(default=600, gt=0, le=86_400)
    """How long nothing may pass on a stream before it is ended."""
    body_seconds: float = Field(default=10, gt=0, le=3600)
    """How long a message may take to arrive once its call was let in."""
    max_body_bytes: int = Field(default=256 << 20, ge=1 << 16, le=1 << 40)
    """Memory for messages that are arriving; each counts as the largest that there may be, further
    ones wait unread, and one client has at most half. Messages that are being answered may take
    half as much again, and the last steps of open sessions, which are kept, as much. A message
    may be on its way on each session besides."""
    max_streams: int = Field(default=1000, ge=1, le=100_000)
    """Calls and streams at once on one connection; a client's further ones wait on its side."""
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
        client_limit: of these, calls of one client. 0: no bound.
        clock: seconds.
        draw: from [0, 1), so that those who were refused together do not come back together.
    """

    def __init__(
        self,
        limit: int,
        clock: Callable[[], float] = monotonic,
        draw: Callable[[], float] = random.random,
        *,
        client_limit: int = 0,
    ) -> None:
        self._limit = limit or float("inf")
        self._client_limit = client_limit or float("inf")
        self._clock = clock
        self._draw = draw
        self.running = 0
        """Calls under way."""
        self._of_client: Counter[str] = Counter()
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

    def enter(self, seconds_left: float | None, client: str = "") -> None:
        """Let one call in; it must `leave` later.

        Args:
            seconds_left: until its deadline. None: it has none.
            client: whose call it is. Empty: not known, so that only the calls of all are bounded.

        Raises:
            Overloaded: too many are under way, or its answer would come after its deadline.
            DeadlineExceeded: the deadline has passed.
        """
        if seconds_left is not None and seconds_left <= 0:
            raise DeadlineExceeded("the deadline passed.", remedy="allow more time.")
        if self.full:
            raise self.refusal()
        if client and self._of_client[client] >= self._client_limit:
            raise Overloaded(
                f"{self._of_client[client]} requests of {client!r} are being answered already.",
                remedy="try again after the delay, or send fewer at once.",
                retry_seconds=self.retry_seconds(),
            )
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
        if client:
            self._of_client[client] += 1

    def leave(self, client: str = "", *, answered: bool = True) -> None:
        """One call has ended.

        Args:
            client: as it was let in.
            answered: whether by an answer or a reason. One that was given up frees its place, but
                says nothing of how fast answers come.
        """
        self.running -= 1
        if client:
            self._of_client[client] -= 1
            if not self._of_client[client]:
                del self._of_client[client]
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


class Bodies:
    """Bounds the memory that messages take while they arrive and while they are answered.

    How large a message is can only be known once it has been read, so that each counts as the
    largest one until then. What is not asked for yet stays with its sender, but for 64 KiB.

    Args:
        budget: bytes of messages that are arriving, and twice those of messages that have.
        largest: bytes of the largest message that a server takes.
        seconds: that a message may take to arrive, waiting for its turn included.
        of_one: share of the budget that one sender may take.
    """

    def __init__(self, budget: int, largest: int, seconds: float, of_one: float = 0.5) -> None:
        self._free = max(1, budget // largest)
        self._of_one = max(1, int(self._free * of_one))
        self._of_sender: Counter[str] = Counter()
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._most_held = budget // 2
        self._seconds = seconds
        # One timer for all: one each would cost more than all else here.
        self._arriving: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._looking_over = False
        self.held = 0
        """Bytes of messages that have arrived and are not answered yet."""

    async def read(self, context: Any, sender: str, largest: int) -> bytes:
        """The message of a unary call; it must be let `go` later.

        Args:
            context: of the call.
            sender: whose message it is. Empty: not known, so that only all together are bounded.
            largest: bytes that this method takes.

        Raises:
            Overloaded: what has arrived already takes too much memory.
            DeadlineExceeded: it did not arrive in time.
            InvalidInput: it is too large.
            CancelledError: there is none, as its caller has gone.
        """
        if self.held > self._most_held:
            raise Overloaded(
                "large messages are being answered.",
                remedy="try again after the delay.",
                retry_seconds=1.0,
            )
        task = asyncio.current_task()
        assert task is not None
        self._arriving[task] = monotonic() + self._seconds
        if not self._looking_over:
            self._look_over()
        try:
            # Where there is one, all who wait have their share already.
            if self._has_place(sender):
                self._take(sender)
            else:
                await self._turn(sender)
            try:
                message = await context.read()
            finally:
                self._give_back(sender)
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            self._late.discard(task)
            task.uncancel()
            raise DeadlineExceeded(
                f"the message did not arrive within {self._seconds:g} s.",
                remedy="send it at once, or send less.",
            ) from None
        finally:
            del self._arriving[task]
        if message is aio.EOF:  # pyright: ignore[reportAttributeAccessIssue] - not in its stubs
            raise asyncio.CancelledError
        check_size(message, largest)
        self.held += len(message)
        return message

    def go(self, message: bytes) -> None:
        """A message that was read is not needed any more."""
        self.held -= len(message)

    def _has_place(self, sender: str) -> bool:
        return self._free > 0 and not (sender and self._of_sender[sender] >= self._of_one)

    def _take(self, sender: str) -> None:
        self._free -= 1
        if sender:
            self._of_sender[sender] += 1

    def _give_back(self, sender: str) -> None:
        self._free += 1
        if sender:
            self._of_sender[sender] -= 1
            if not self._of_sender[sender]:
                del self._of_sender[sender]
        for place, (other, turn) in enumerate(self._waiting):
            if self._has_place(other) and not turn.done():
                del self._waiting[place]
                self._take(other)
                turn.set_result(None)
                return

    async def _turn(self, sender: str) -> None:
        """Wait for a place, and take it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((sender, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(sender)
            else:
                self._waiting.remove((sender, turn))
            raise

    def _look_over(self) -> None:
        now = monotonic()
        for task, until in list(self._arriving.items()):
            if now < until:
                break  # they are in the order in which they came
            if task not in self._late:
                self._late.add(task)
                task.cancel()
        self._looking_over = bool(self._arriving)
        if self._arriving:
            asyncio.get_running_loop().call_later(min(1.0, self._seconds / 4), self._look_over)


def check_size(message: bytes, largest: int) -> None:
    """Refuse a message of more than ``largest`` bytes.

    Raises:
        InvalidInput: it is one.
    """
    if len(message) > largest:
        raise InvalidInput(
            f"a message of {len(message)} bytes is too large.",
            remedy=f"send at most {largest} bytes to this method.",
        )
