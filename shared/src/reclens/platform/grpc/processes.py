"""How a server's process is run: one or several of them, on the quicker event loop."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from reclens.errors import RecLensError
from reclens.platform.grpc.process_group import reserve_port, run_group
from reclens.platform.grpc.server import ServerSettings
from reclens.platform.observability.logs import configure_logging

S = TypeVar("S")

logger = structlog.get_logger(__name__)


def run_server(service: str, work: Callable[[S], None], settings: S, section: str) -> None:
    """Run ``work``, in as many processes as the settings say, until SIGTERM or SIGINT.

    What the settings have wrong is logged, and ends the process with exit code 2.

    Args:
        service: name in logs.
        work: serves until it is told to stop; importable by name.
        settings: all settings of the service.
        section: name of the field with its `ServerSettings`.
    """
    configure_logging(service)
    try:
        _run(work, settings, section)
    except RecLensError as error:
        logger.error("not started", error=error.sentence)
        sys.exit(2)


def _run(work: Callable[[S], None], settings: S, section: str) -> None:
    server: ServerSettings = getattr(settings, section)
    if server.processes == 1:
        work(settings)
        return
    address, held = reserve_port(server.listen)
    with held:
        shares = [
            settings.model_copy(  # pyright: ignore[reportAttributeAccessIssue]
                update={section: _share(server, address, index)}
            )
            for index in range(server.processes)
        ]
        run_group(work, shares, server.lame_duck_seconds + server.drain_seconds)


def _share(server: ServerSettings, address: str, index: int) -> ServerSettings:
    host, _, port = server.metrics_listen.rpartition(":")
    # Port 0 draws one for each.
    metrics = f"{host}:{int(port) + index if int(port) else 0}" if host else ""
    return server.model_copy(update={"listen": address, "metrics_listen": metrics})


def _collect_seldom() -> None:
    """Look for cyclic garbage every 50,000 new objects, not every 700.

    A call makes some hundred objects and few cycles; at the default a tenth of a server's time goes
    to looking through them (docs/how-to/operations.md). Modules are not looked through at all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def run_loop(service: str, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``serve`` to its end on an event loop, with logging.

    On uvloop, a server spends less on each call than on asyncio's own loop
    (docs/how-to/operations.md).
    """
    import uvloop  # noqa: PLC0415

    # A process of several is spawned, and has nothing of its parent.
    configure_logging(service)
    _collect_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
