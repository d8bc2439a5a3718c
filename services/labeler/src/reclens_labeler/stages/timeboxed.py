"""A language model that is asked for a while only, so that a slow one does not keep a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from reclens.errors import LlmInterrupted

if TYPE_CHECKING:
    from reclens.concepts.llm import ChatAnswer, ChatRequest, LlmClient


class TimeBoxedClient:
    """`LlmClient` that sends no request once its time is up.

    The first request starts the clock, so at least one is sent, however long it took to get there.
    A request that is under way, its pauses included, is not cut off.

    Args:
        client: that answers.
        seconds: for which it is asked.
        now: a clock, in seconds.

    Raises (by `complete`):
        LlmInterrupted: the time is up.
        RecLensError: what ``client`` raises.
    """

    def __init__(
        self, client: LlmClient, seconds: float, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._seconds = seconds
        self._now = now
        self._lock = threading.Lock()
        self._began: float | None = None

    def complete(self, request: ChatRequest) -> ChatAnswer:
        """Answer one request; safe to call from several threads."""
        now = self._now()
        with self._lock:
            began = now if self._began is None else self._began
            self._began = began
        if now - began > self._seconds:
            raise LlmInterrupted(
                "it is the turn of other jobs.",
                remedy="none is needed: answers so far are kept, the job goes on after them.",
            )
        return self._client.complete(request)
