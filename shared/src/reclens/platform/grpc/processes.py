"""How a server's process is run: one or several on one port, on the quicker event loop."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, Final, Generic, TypeVar

import structlog
from pydantic import BaseModel

from reclens.errors import InvalidInput, RecLensError
from reclens.platform.backoff import backoff_seconds
from reclens.platform.grpc.server import ServerSettings
from reclens.platform.observability.logs import configure_logging

T = TypeVar("T")

_SETTLED_SECONDS: Final = 30.0
_KILL_AFTER_SECONDS: Final = 10.0
# How soon a signal is noticed.
_POLL_SECONDS: Final = 0.2
logger = structlog.get_logger(__name__)


def run_group(work: Callable[[T], None], shares: Sequence[T], stop_seconds: float) -> None:
    """Run ``work`` once per share, each in a process of its own, until SIGTERM or SIGINT.

    A process that ends by itself is started again, after a wait that grows while it keeps ending.
    Processes are spawned, not forked: gRPC does not survive a fork. They end when this one does,
    however it ends.

    Args:
        work: importable by name; serves until SIGTERM.
        shares: what each process is given; picklable.
        stop_seconds: how long a process may take to stop before it is killed.
    """
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: told.append(number))
    slots = [_Slot(index, work, share) for index, share in enumerate(shares)]
    try:
        while not told:
            for slot in slots:
                slot.tend(time.monotonic())
            wait([process.sentinel for process in _running(slots)], _POLL_SECONDS)
        for process in _running(slots):
            process.terminate()
        deadline = time.monotonic() + stop_seconds + _KILL_AFTER_SECONDS
        # Who asks twice at a terminal does not want to wait.
        while (left := _running(slots)) and signal.SIGINT not in told[1:]:
            if time.monotonic() >= deadline:
                for process in left:
                    logger.error("process killed, it did not stop", pid=process.pid)
                break
            wait([process.sentinel for process in left], _POLL_SECONDS)
    finally:
        for process in _running(slots):
            process.kill()
            process.join()


class _Slot(Generic[T]):
    """A process that is started again when it ends by itself."""

    def __init__(self, index: int, work: Callable[[T], None], share: T) -> None:
        self.process: BaseProcess | None = None
        self._index = index
        self._arguments = (work, share)
        self._started = 0.0
        self._deaths = 0
        self._start_at = 0.0

    def tend(self, now: float) -> None:
        """Start the process where none runs and it is time to; note that it has ended."""
        if self.process is None and self._start_at <= now:
            self.process = multiprocessing.get_context("spawn").Process(
                target=_child, args=self._arguments, name=f"server-{self._index}"
            )
            self.process.start()
            self._started = now
            logger.info("process started", process=self._index, pid=self.process.pid)
        elif self.process is not None and not self.process.is_alive():
            if now - self._started > _SETTLED_SECONDS:
                self._deaths = 0
            wait_seconds = backoff_seconds(self._deaths)
            self._deaths += 1
            self._start_at = now + wait_seconds
            logger.error(
                "process ended",
                process=self._index,
                exit_code=self.process.exitcode,
                again_in_seconds=round(wait_seconds, 2),
            )
            self.process.close()
            self.process = None


def _running(slots: Sequence[_Slot[Any]]) -> list[BaseProcess]:
    return [slot.process for slot in slots if slot.process is not None and slot.process.is_alive()]


def _child(work: Callable[[T], None], share: T) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_parent, name="parent-watch", daemon=True).start()
    work(share)


def reserve_port(listen: str) -> tuple[str, socket.socket]:
    """Fix the port of ``host:port``, so that several processes can listen on the same one.

    Returns:
        The address with the port, and a socket that holds it; it takes no connections. Keep it
        open until others listen.

    Raises:
        InvalidInput: somebody else has the port.
    """
    host, _, port = listen.rpartition(":")
    name = host.strip("[]")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        # That somebody listens there already, binding with SO_REUSEPORT would not tell.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((name, int(port)))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((name, int(port)))
    except (OSError, ValueError, OverflowError) as error:
        held.close()
        raise InvalidInput(
            f"cannot listen on {listen}.", field="listen", remedy="choose a free host:port."
        ) from error
    return f"{host}:{held.getsockname()[1]}", held


S = TypeVar("S", bound=BaseModel)


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
    server: ServerSettings = getattr(settings, section)
    try:
        if server.processes == 1:
            work(settings)
            return
        address, held = reserve_port(server.listen)
        with held:
            shares = [
                settings.model_copy(update={section: _share(server, address, index)})
                for index in range(server.processes)
            ]
            run_group(work, shares, server.lame_duck_seconds + server.drain_seconds)
    except RecLensError as error:
        logger.error("not started", error=error.sentence)
        sys.exit(2)


def _share(server: ServerSettings, address: str, index: int) -> ServerSettings:
    host, _, port = server.metrics_listen.rpartition(":")
    # Port 0 draws one for each.
    metrics = f"{host}:{int(port) + index if int(port) else 0}" if host else ""
    return server.model_copy(update={"listen": address, "metrics_listen": metrics})


def run_loop(service: str, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``serve`` to its end on an event loop, with logging.

    On uvloop, a server spends less on each call than on asyncio's own loop
    (docs/how-to/operations.md).
    """
    import uvloop  # noqa: PLC0415

    # A process of several is spawned, and has nothing of its parent.
    configure_logging(service)
    # Cyclic garbage is looked for every 50,000 new objects, not every 700: a call makes some
    # hundred and few cycles, and at the default a tenth of a server's time goes to looking through
    # them (docs/how-to/operations.md). Modules are not looked through at all.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
