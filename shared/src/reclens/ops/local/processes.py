"""Finds and stops processes by the ids that they noted themselves, never by name.

Commands that own processes or jobs clean up after themselves, however they are ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil

from reclens.platform.polling import poll_until

_CLOCK_SECONDS = 2.0
"""Allowed difference of file times and process start times, which are measured by two clocks."""


def owner_of(pid_file: Path) -> psutil.Process | None:
    """The living process that wrote ``pid_file``; None where it has ended.

    A process id may be given away again. Whoever has it now wrote the file only if it was started
    before the file was.
    """
    try:
        pid, written = int(pid_file.read_text()), pid_file.stat().st_mtime
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process if process.create_time() <= written + _CLOCK_SECONDS else None
    except (OSError, ValueError, psutil.Error):
        return None


def await_end(process: psutil.Process, patience_seconds: float) -> bool:
    """Wait until a process has ended; whether it has."""
    _gone, alive = psutil.wait_procs([process], timeout=patience_seconds)
    return not alive


def stop(processes: Iterable[psutil.Process], patience_seconds: float) -> None:
    """SIGTERM to each; after ``patience_seconds`` SIGKILL to the process group of what is left.

    Each process must lead its own group, as children of supervisord do.
    """
    stopping = list(processes)
    # The group outlives its leader: pool children of a worker that was killed.
    groups = {process.pid for process in stopping if _leads_group(process)}
    for process in stopping:
        # psutil refuses where the id has been given to another process meanwhile.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs(stopping, timeout=patience_seconds)
    poll_until(lambda: not any(map(_group_lives, groups)), seconds=1, every=0.02)
    for group in filter(_group_lives, groups):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    for process in stopping:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stopping, timeout=5)


def _leads_group(process: psutil.Process) -> bool:
    try:
        return os.getpgid(process.pid) == process.pid
    except ProcessLookupError:
        return False


def _group_lives(group: int) -> bool:
    for process in psutil.process_iter(["status"]):
        try:
            if process.info["status"] == psutil.STATUS_ZOMBIE:
                continue
            if os.getpgid(process.pid) == group:
                return True
        except (ProcessLookupError, PermissionError):
            continue
    return False


def terminated_as_interrupted() -> AbstractContextManager[None]:
    """SIGTERM ends a command the way Ctrl-C does: through its ``finally``."""
    return _handled(signal.default_int_handler, signal.SIGTERM)


def undisturbed() -> AbstractContextManager[None]:
    """No second Ctrl-C may cut the clean-up short: it has its own limits of time."""
    return _handled(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _handled(handler: Any, *numbers: signal.Signals) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
