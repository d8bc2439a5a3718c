"""How a server's process is run: one or several on one port, on the quicker event loop."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, Final, TypeVar

import structlog

from reclens.errors import InvalidInput, RecLensError
from reclens.platform.grpc.server import ServerSettings
from reclens.platform.observability.logs import configure_logging
from reclens.platform.settings.backoff import backoff_seconds

T = TypeVar("T")

_SETTLED_SECONDS: Final = 30.0
_KILL_AFTER_SECONDS: Final = 10.0
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
    with closing(_Group(work, shares, stop_seconds)) as group:
        group.run()


class _Slot:
    """One process, and its history."""

    def __init__(self) -> None:
        self.process: BaseProcess | None = None
        self.started = 0.0
        self.deaths = 0
        self.start_at = 0.0


class _Group:
    def __init__(self, work: Callable[[T], None], shares: Sequence[T], stop_seconds: float) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._work, self._shares = work, shares
        self._stop_seconds = stop_seconds
        self._slots = [_Slot() for _ in shares]
        self._stopping = False
        # A signal must wake up the wait for processes.
        self._signalled, self._wake = socket.socketpair()
        self._wake.setblocking(False)

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._stopping:
            now = time.monotonic()
            for index, slot in enumerate(self._slots):
                if slot.process is None and slot.start_at <= now:
                    self._start(index, slot, now)
            self._wait(self._until_next_start(now))
            for index, slot in enumerate(self._slots):
                self._bury(index, slot)
        self._stop_all()

    def close(self) -> None:
        """Leave no process behind."""
        for slot in self._slots:
            if slot.process is not None and slot.process.is_alive():
                slot.process.kill()
                slot.process.join()
        self._signalled.close()
        self._wake.close()

    def _start(self, index: int, slot: _Slot, now: float) -> None:
        slot.process = self._context.Process(
            target=_child, args=(self._work, self._shares[index]), name=f"server-{index}"
        )
        slot.process.start()
        slot.started = now
        logger.info("process started", process=index, pid=slot.process.pid)

    def _bury(self, index: int, slot: _Slot) -> None:
        if slot.process is None or slot.process.is_alive():
            return
        now = time.monotonic()
        if now - slot.started > _SETTLED_SECONDS:
            slot.deaths = 0
        wait_seconds = backoff_seconds(slot.deaths, random.random())
        slot.deaths += 1
        slot.start_at = now + wait_seconds
        logger.error(
            "process ended",
            process=index,
            exit_code=slot.process.exitcode,
            again_in_seconds=round(wait_seconds, 2),
        )
        slot.process.close()
        slot.process = None

    def _until_next_start(self, now: float) -> float | None:
        waits = [max(0.0, slot.start_at - now) for slot in self._slots if slot.process is None]
        return min(waits, default=None)

    def _wait(self, seconds: float | None) -> None:
        running = [slot.process.sentinel for slot in self._slots if slot.process is not None]
        wait([*running, self._signalled], seconds)

    def _stop(self, number: int, _frame: object) -> None:
        if self._stopping and number == signal.SIGINT:
            # Asked twice at a terminal: do not wait.
            for slot in self._slots:
                if slot.process is not None and slot.process.is_alive():
                    slot.process.kill()
        self._stopping = True
        self._wake.send(b"!")

    def _stop_all(self) -> None:
        alive = [slot.process for slot in self._slots if slot.process is not None]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + self._stop_seconds + _KILL_AFTER_SECONDS
        for process in alive:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                logger.error("process killed, it did not stop", pid=process.pid)
                process.kill()
                process.join()


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
    family = socket.AF_INET6 if ":" in host.strip("[]") else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        if _taken(family, host.strip("[]"), int(port)):
            raise OSError("somebody listens there")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host.strip("[]"), int(port)))
    except (OSError, ValueError, OverflowError) as error:
        held.close()
        raise InvalidInput(
            f"cannot listen on {listen}.", field="listen", remedy="choose a free host:port."
        ) from error
    return f"{host}:{held.getsockname()[1]}", held


def _taken(family: int, host: str, port: int) -> bool:
    """Whether somebody listens there already: with SO_REUSEPORT, binding would not tell."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


S = TypeVar("S")


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
