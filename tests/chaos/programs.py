"""Processes that are started, broken, and started again: servers and parts of RecLens."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

from reclens.ops.local.health import log_tail, wait_until

_START_SECONDS = 90.0
_LINE_CHARACTERS = 320
_MARK = "CHAOS_PROGRAM"


class Program:
    """One process with its children, started again whenever it ends, unless it is held down.

    Args:
        name: of the program.
        command: that starts it.
        environment: its variables.
        log: file that its output is appended to.
        answers: whether it does its work.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str],
        log: Path,
        answers: Callable[[], bool],
    ) -> None:
        self.name = name
        self.log = log
        self.exits: list[int] = []
        """Exit codes since the round began; negative: the signal."""
        self.extra: dict[str, str] = {}
        """Variables of the next start."""
        self._command = command
        self._environment = dict(environment)
        self._answers = answers
        self._process: subprocess.Popen[bytes] | None = None
        self._down = True
        self._mark = uuid.uuid4().hex
        self._lock = threading.RLock()

    def start(self) -> None:
        """Start it, unless it runs."""
        with self._lock:
            self._down = False
            if self._process is None:
                self._spawn()

    def wait(self) -> None:
        """Return when it answers.

        Raises:
            Unavailable: it died or does not answer; the message ends with its log.
        """
        wait_until(
            self._answers,
            alive=lambda: self._process is not None,
            what=self.name,
            log=self.log,
            timeout_seconds=_START_SECONDS,
        )

    def hold(self) -> None:
        """Do not start it again until `start`."""
        self._down = True

    def look(self) -> None:
        """Note that it has ended, and start it again."""
        with self._lock:
            if self._process is None or self._process.poll() is None:
                return
            self.exits.append(self._process.returncode)
            self._process = None
            if not self._down:
                self._spawn()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def pids(self, part: str = "whole") -> list[int]:
        """Process ids of the ``whole``, children first, or of its ``pool`` of children; where it
        has no children, of the process itself."""
        with contextlib.suppress(psutil.NoSuchProcess):
            if (pid := self.pid) is not None:
                children = [one.pid for one in psutil.Process(pid).children(recursive=True)]
                return children if part == "pool" and children else [*children, pid]
        return []

    def send(self, number: int, part: str = "whole") -> None:
        """Send a signal; ``main`` is the process that was started, alone."""
        pids = [self.pid] if part == "main" else self.pids(part)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                if pid is not None:
                    os.kill(pid, number)

    def limit(self, what: int, bound: Callable[[int], int]) -> None:
        """Set a soft limit of resources for all its processes, by process id."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                hard = resource.prlimit(pid, what)[1]
                resource.prlimit(pid, what, (bound(pid), hard))

    def kill(self) -> None:
        """End it, with its children, and leave it down."""
        with self._lock:
            self.hold()
            self.send(signal.SIGCONT)
            self.send(signal.SIGKILL)
            for orphan in self._orphans():
                orphan.kill()
            if self._process is not None:
                self._process.wait(10)
                self._process = None

    def _orphans(self) -> Iterator[psutil.Process]:
        """Children outlive a main process that was killed; told by a variable of ours."""
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if one.environ().get(_MARK) == self._mark:
                    yield one

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment | self.extra | {_MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=tempfile.gettempdir(),
                start_new_session=True,
            )

    def tail(self, lines: int = 12) -> str:
        """The end of its log, the lines cut short."""
        told = log_tail(self.log, lines).splitlines()
        return "\n".join(one[:_LINE_CHARACTERS] for one in told)


@contextlib.contextmanager
def supervised(programs: Mapping[str, Program]) -> Iterator[None]:
    """Start again what ends, for the life of the block; everything is killed on leaving."""

    def look() -> None:
        for program in list(programs.values()):
            program.look()

    try:
        with repeated(look, 0.2):
            yield
    finally:
        for program in programs.values():
            program.kill()


@contextlib.contextmanager
def repeated(action: Callable[[], object], seconds: float) -> Iterator[None]:
    """Do something every so many seconds in a thread, for the life of the block."""
    leaving = threading.Event()

    def repeat() -> None:
        while not leaving.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        leaving.set()
        thread.join()


def until(condition: Callable[[], bool], seconds: float, every: float = 0.1) -> bool:
    """Wait for a condition at most ``seconds``; whether it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
