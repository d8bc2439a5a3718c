"""Micro-batching: one thread that answers everything that waits, together."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Generic, TypeVar

import structlog

from reclens.errors import (
    DeadlineExceeded,
    InternalError,
    Overloaded,
    RecLensError,
    Unavailable,
)
from reclens.platform.observability import metrics

K = TypeVar("K")
Q = TypeVar("Q")
A = TypeVar("A")

_SMOOTHING = 0.1
"""Weight of the newest batch in the measured time per entry."""
_MIN_RETRY_SECONDS = 0.05
_MAX_RETRY_SECONDS = 30.0

logger = structlog.get_logger(__name__)


class MicroBatcher(Generic[K, Q, A]):
    """Answers entries off the event loop, as many at once as happen to wait.

    One thread, because an intervention hooks the model's module while it runs: a second pass of
    the same model meanwhile would be edited as well. No entry waits for others: one that finds
    the thread idle is answered alone, and while it is, the next batch gathers by itself. Calls take
    turns, so that one with many entries does not hold up the others.

    Args:
        answer: answers entries of one key together, on the thread; one outcome an entry. It raises
            nothing on purpose.
        max_batch: entries answered together at most.
        max_waiting: entries that may wait or be answered; further ones are refused at once.
    """

    def __init__(
        self,
        answer: Callable[[K, Sequence[Q]], Sequence[A]],
        *,
        max_batch: int,
        max_waiting: int,
    ) -> None:
        self._answer = answer
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._queues: OrderedDict[K, deque[_Call[Q, A]]] = OrderedDict()
        self._waiting = 0
        self._seconds_per_entry = 0.0
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Entries that wait or are being answered."""
        return self._waiting

    async def ask(
        self, key: K, entries: Sequence[Q], deadlines: Sequence[float]
    ) -> list[A | RecLensError]:
        """Outcomes of ``entries``, in order; refusals are returned, not raised.

        Entries that are given up while they wait, because their deadline passes or because this
        coroutine is cancelled, cost nothing more.

        Args:
            key: only entries of equal keys are answered together.
            entries: at least one.
            deadlines: for each entry the ``monotonic`` time until which it is of use.

        Raises:
            DeadlineExceeded: all deadlines passed while the model was busy.
        """
        loop = asyncio.get_running_loop()
        with self._wake:
            if self._closed:
                raise Unavailable("the server is shutting down.", remedy="try another replica.")
            admitted = min(len(entries), self._max_waiting - self._waiting)
            overload = None if admitted == len(entries) else self._overload()
            call = _Call[Q, A](entries[:admitted], deadlines, loop)
            if admitted > 0:
                self._waiting += admitted
                self._queues.setdefault(key, deque()).append(call)
                self._wake.notify()
            metrics.current().waiting.set(self._waiting)
        if admitted > 0:
            seconds = max(deadlines) - monotonic()
            try:
                async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                    await call.done
            except TimeoutError as error:
                raise DeadlineExceeded(
                    "the model did not answer in time.", remedy="allow more time."
                ) from error
            finally:
                call.gone = True
        refused = [] if overload is None else [overload] * (len(entries) - max(admitted, 0))
        return [*call.outcomes, *refused]  # pyright: ignore[reportReturnType]

    def close(self) -> None:
        """Refuse what waits and let the running batch end."""
        with self._wake:
            self._closed = True
            waiting = [call for queue in self._queues.values() for call in queue]
            self._queues.clear()
            self._wake.notify()
        stopped = Unavailable("the server is shutting down.", remedy="try another replica.")
        for call in waiting:
            while call.unsent:
                call.settle(call.next(), stopped)
            call.deliver()
        self._thread.join()

    def _overload(self) -> Overloaded:
        seconds = self._waiting * self._seconds_per_entry
        return Overloaded(
            f"{self._waiting} requests are waiting for the model already.",
            remedy="send fewer at once, or run more replicas.",
            retry_seconds=min(max(seconds, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS),
        )

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._queues and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                key, batch, dropped = self._take()
            if batch:
                self._work(key, batch)
            with self._wake:
                self._waiting -= len(batch) + dropped
                metrics.current().waiting.set(self._waiting)

    def _take(self) -> tuple[K, list[tuple[_Call[Q, A], int]], int]:
        """The next batch: entries of one key, one of each call in turn."""
        key, queue = next(iter(self._queues.items()))
        batch: list[tuple[_Call[Q, A], int]] = []
        dropped, now = 0, monotonic()
        while queue and len(batch) < self._max_batch:
            call = queue.popleft()
            if call.gone:
                dropped += call.unsent
                continue
            place = call.next()
            if call.unsent:
                queue.append(call)
            if call.deadlines[place] > now:
                batch.append((call, place))
                continue
            dropped += 1
            expired = DeadlineExceeded("its time passed while it waited.", remedy="allow more.")
            if call.settle(place, expired):
                call.deliver()
        # The next batch begins with another key, if there is one.
        del self._queues[key]
        if queue:
            self._queues[key] = queue
        return key, batch, dropped

    def _work(self, key: K, batch: list[tuple[_Call[Q, A], int]]) -> None:
        began = monotonic()
        outcomes: Sequence[A | RecLensError]
        try:
            outcomes = self._answer(key, [call.entries[place] for call, place in batch])
        except Exception:
            logger.exception("batch failed", entries=len(batch))
            failure = InternalError("the server failed.", remedy="look into the server's log.")
            outcomes = [failure] * len(batch)
        for (call, place), outcome in zip(batch, outcomes, strict=True):
            if call.settle(place, outcome):
                call.deliver()
        per_entry = (monotonic() - began) / len(batch)
        known = self._seconds_per_entry or per_entry
        self._seconds_per_entry = known + _SMOOTHING * (per_entry - known)


class _Call(Generic[Q, A]):
    """Entries that came together and are answered together."""

    def __init__(
        self,
        entries: Sequence[Q],
        deadlines: Sequence[float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.entries = entries
        self.deadlines = deadlines
        self.outcomes: list[A | RecLensError | None] = [None] * len(entries)
        self.done: asyncio.Future[None] = loop.create_future()
        self.gone = False
        """Whether nobody waits for it any more."""
        self._loop = loop
        self._next = 0
        self._open = len(entries)

    @property
    def unsent(self) -> int:
        """Entries that nobody has begun with."""
        return len(self.entries) - self._next

    def next(self) -> int:
        """The place of the next entry, which is begun with."""
        self._next += 1
        return self._next - 1

    def settle(self, place: int, outcome: A | RecLensError) -> bool:
        """Note the outcome of an entry; returns whether it was the last one open."""
        self.outcomes[place] = outcome
        self._open -= 1
        return not self._open

    def deliver(self) -> None:
        """Wake the coroutine that waits for the call."""
        self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
