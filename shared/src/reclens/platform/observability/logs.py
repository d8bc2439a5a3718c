"""Structured logs: one JSON object a line on standard error."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from reclens.platform.scrubbing import scrub


def configure_logging(service: str, level: str = "INFO") -> None:
    """Send structlog and the standard library's loggers through one JSON renderer; its lines have
    no secrets."""

    def add_service(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {"service": service, **event}

    def without_secrets(_logger: Any, _method: str, line: Any) -> str:
        return scrub(line)

    shared: list[Processor] = [
        add_service,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(sort_keys=True),
                # Of whole lines: whatever a library logs, and in whatever field.
                without_secrets,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)

    def log_the_end(kind: Any, error: Any, trace: Any) -> None:
        root.critical("ended by an error", exc_info=(kind, error, trace))

    sys.excepthook = log_the_end
    threading.excepthook = lambda ended: log_the_end(*ended[:3])
