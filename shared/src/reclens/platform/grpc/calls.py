"""The call that is being answered: its id, caller and deadline, and its line in the access log.

Log lines and refusals leave out what callers wrote, which may be a history.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Literal

import structlog
from pydantic import Field

from reclens.errors import DeadlineExceeded, InvalidInput, RecLensError
from reclens.platform.settings.models import Section

MAX_REQUEST_ID = 128
"""Longest request id, in characters."""

REQUEST_ID_KEY = "x-request-id"
"""Header with the request id, where the message has no field for it."""

TRACE_KEY = "traceparent"
"""Header with the W3C trace context of the caller."""


@dataclass(slots=True)
class Call:
    """What is known of one call. Slots, as one is made for every request."""

    method: str
    """Full name, e.g. ``/reclens.api.steering.v1.SteeringService/Recommend``."""
    metadata: Sequence[Any]
    """Headers: pairs of name and value."""
    request_id: str = ""
    """The caller's id, or one made for it."""
    client: str = ""
    """Who calls, by its credentials; empty where none are asked for."""
    release: str = ""
    """Release that was asked for, as the caller names it; empty: the default one."""
    edits: int = 0
    """Edits in the request."""
    started: float = 0.0
    """When it was taken up, by ``time.perf_counter``."""
    span: Any = None
    """Its span, where calls are traced."""
    traceparent: str = ""
    """W3C trace context of its span, for those who are called in turn; empty: not traced."""

    def header(self, key: str) -> str:
        """Text of the first header called ``key``; empty where there is none."""
        for name, value in self.metadata:
            if name == key:
                return value if isinstance(value, str) else ""
        return ""

    def identify(self, identifier: str) -> None:
        """Take the caller's id, or make one.

        Raises:
            InvalidInput: it is too long; its beginning is kept, for the log.
        """
        # Ids tell requests apart and guard nothing: no need of the system's randomness.
        self.request_id = identifier[:MAX_REQUEST_ID] or f"{random.getrandbits(128):032x}"
        check_request_id(identifier)


# What is read outside a call; nothing writes to it.
_NO_CALL: Final = Call("", ())
_CALL: ContextVar[Call] = ContextVar("reclens_call", default=_NO_CALL)


def begin_call(method: str, metadata: Sequence[Any] = ()) -> Call:
    """Make a call of ``method`` the current one of this asyncio task."""
    call = Call(method, metadata)
    _CALL.set(call)
    return call


def current_call() -> Call:
    """The call that is being answered; an empty one outside of any."""
    return _CALL.get()


def request_id() -> str:
    """Id of the request that is being answered: the caller's, or one made for it."""
    return _CALL.get().request_id


def caller() -> str:
    """Name of the client that calls, by its credentials; empty where none are asked for."""
    return _CALL.get().client


def traceparent() -> str:
    """W3C trace context of the call, to be sent on; empty where it is not traced."""
    return _CALL.get().traceparent


def check_request_id(identifier: str) -> None:
    """Refuse ids that are too long to log.

    Raises:
        InvalidInput: names the field.
    """
    if len(identifier) > MAX_REQUEST_ID:
        raise InvalidInput(
            f"{len(identifier)} characters are too long an id.",
            field="request_id",
            remedy=f"use at most {MAX_REQUEST_ID}.",
        )


def seconds_left(context: Any, default: float) -> float:
    """Seconds until the caller's deadline, ``default`` where it set none.

    Raises:
        DeadlineExceeded: it has passed.
    """
    left = context.time_remaining()
    if left is None:
        return default
    if left <= 0:
        raise DeadlineExceeded("the deadline passed.", remedy="allow more time.")
    return left


# Their messages quote ids that the caller sent.
_QUOTING: Final = {"INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS"}
_REFUSALS_A_SECOND: Final = 20
logger = structlog.get_logger("reclens.access")


class LogSettings(Section):
    """What is logged of requests."""

    access: Literal["off", "sampled", "on"] = "off"
    """One line per request: never, for every so-many-th, always."""
    every: int = Field(default=100, ge=1)
    """Of how many requests one is logged when sampled. Failures of the server are always logged."""


class AccessLog:
    """Writes lines that name neither users nor items."""

    def __init__(self, settings: LogSettings) -> None:
        self._every = {"off": 0, "sampled": settings.every, "on": 1}[settings.access]
        self._seen = 0
        self._second = 0.0
        self._written = 0
        self._suppressed = 0

    @property
    def on(self) -> bool:
        """Whether `ended` ever writes."""
        return self._every > 0

    def ended(self, call: Call, code: str, seconds: float) -> None:
        """A call has ended."""
        self._seen += 1
        if self._seen % self._every:
            return
        logger.info(
            "request",
            method=call.method,
            code=code,
            ms=round(seconds * 1e3, 2),
            release=call.release[:128],
            client=call.client,
            request_id=call.request_id,
            edits=call.edits,
        )

    def refused(self, call: Call, error: RecLensError) -> None:
        """A call was refused. At most so many a second are written: an overload must not become
        worse by being logged."""
        now = monotonic()
        if now - self._second >= 1:
            if self._suppressed:
                logger.warning("refusals not logged", refusals=self._suppressed)
            self._second, self._written, self._suppressed = now, 0, 0
        if self._written >= _REFUSALS_A_SECOND:
            self._suppressed += 1
            return
        self._written += 1
        said = {} if error.grpc_code in _QUOTING else {"error": error.sentence}
        logger.info(
            "refused",
            method=call.method,
            code=error.grpc_code,
            reason=error.reason,
            field=error.field,
            client=call.client,
            request_id=call.request_id,
            **said,
        )
