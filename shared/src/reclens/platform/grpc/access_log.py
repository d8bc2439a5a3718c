"""One line per request, and refusals: without what callers wrote, which may be a history."""

from __future__ import annotations

from time import monotonic
from typing import Final, Literal

import structlog
from pydantic import Field

from reclens.errors import RecLensError
from reclens.platform.grpc.call import Call
from reclens.platform.settings.models import Section

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
