"""Talks to the supervisord of one local stack."""

from __future__ import annotations

import http.client
import os
import shlex
import subprocess
import sys
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from reclens.errors import Unavailable
from reclens.ops.local.health import wait_until
from reclens.ops.local.processes import owner_of
from reclens.ops.local.servers import LOOPBACK, redis_command, s3_command
from reclens.ops.local.state import StateFolder
from reclens.platform.settings.files import STATE_DIR_VARIABLE

SERVERS = ("redis", "s3")
"""Programs that the others need."""
APPLICATIONS = ("capture", "train", "label", "inference", "gateway")
"""Programs of RecLens itself."""

DATA_ROOTS_VARIABLE = "RECLENS_DATA__ROOTS"

_CONFIG = Path(__file__).with_name("supervisord.conf")
_DEAD = {"STOPPED", "EXITED", "FATAL", "BACKOFF", "UNKNOWN"}


@dataclass(frozen=True)
class ProgramStatus:
    """One program as supervisord sees it."""

    name: str
    """``redis``, ``s3``, ``capture``, ``train``, ``label``, ``inference`` or ``gateway``."""
    state: str
    """supervisord's state, e.g. ``RUNNING``."""
    pid: int | None
    """Process id while it runs."""
    up_seconds: int
    """Seconds since its start; 0 when it does not run."""


class Supervisor:
    """The supervisord of one state folder."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._pid_file = state.pids / "supervisord.pid"

    def process(self) -> psutil.Process | None:
        """supervisord's own process, if it lives."""
        return owner_of(self._pid_file)

    def answers(self) -> bool:
        """Whether supervisord lives and listens."""
        if self.process() is None:
            return False
        try:
            self._call("getState")
        except Unavailable:
            return False
        return True

    def start(self, ports: dict[str, int]) -> None:
        """Start supervisord, which starts Redis and S3; returns when it listens.

        Raises:
            Unavailable: it did not start.
        """
        state, log = self._state, self._state.logs / "supervisord.log"
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(_CONFIG)]
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Out of reach of the terminal's Ctrl-C: whoever starts it also stops it, in order.
                start_new_session=True,
                env=os.environ | self._environment(ports),
            )
        wait_until(
            self.answers,
            alive=lambda: process.poll() is None,
            what="supervisord",
            log=state.logs / "supervisord.log",
            timeout_seconds=20,
        )

    def programs(self) -> dict[str, ProgramStatus]:
        """All programs by name.

        Raises:
            Unavailable: supervisord does not answer.
        """
        statuses = {}
        for info in self._call("getAllProcessInfo"):
            running = info["statename"] == "RUNNING"
            statuses[info["name"]] = ProgramStatus(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"] or None,
                up_seconds=max(0, info["now"] - info["start"]) if running else 0,
            )
        return statuses

    def ensure_started(self, names: tuple[str, ...]) -> list[str]:
        """Start those of ``names`` that do not run, all at once; the names that were started."""
        states = self.programs()
        dead = [name for name in names if states[name].state in _DEAD]
        for name in dead:
            try:
                self._call("startProcess", _full_name(name), False)
            except xmlrpc.client.Fault as fault:
                # Its own retry was quicker.
                if fault.faultCode != Faults.ALREADY_STARTED:
                    raise
        return dead

    def shut_down(self) -> None:
        """Ask supervisord to stop all programs, applications first, and then itself."""
        try:
            self._call("shutdown")
        except (Unavailable, xmlrpc.client.Fault):
            process = self.process()
            if process is not None:
                process.terminate()

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._state.socket}")
        # The host is a placeholder: the transport talks to the socket.
        try:
            with xmlrpc.client.ServerProxy(f"http://{LOOPBACK}", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(
                "the local stack's supervisord does not answer.",
                remedy="run `reclens up`, which repairs the stack.",
            ) from error

    def _environment(self, ports: dict[str, int]) -> dict[str, str]:
        state = self._state
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
        return state.environment() | {
            DATA_ROOTS_VARIABLE: data_roots(),
            STATE_DIR_VARIABLE: str(state.root),
            "RECLENS_INFERENCE__LISTEN": f"{LOOPBACK}:{ports['inference']}",
            "RECLENS_GATEWAY__LISTEN": f"{LOOPBACK}:{ports['gateway']}",
            "RECLENS_GATEWAY__INFERENCE": f"{LOOPBACK}:{ports['inference']}",
            "RECLENS_INFERENCE__TORCH_THREADS": "1",
            "RECLENS_STACK_PIDS": str(state.pids),
            "RECLENS_STACK_LOGS": str(state.logs),
            "RECLENS_STACK_SOCKET": str(state.socket),
            "RECLENS_STACK_BIN": shlex.quote(str(Path(sys.executable).parent)),
            # Small matrices gain nothing from many threads, and workers share the machine.
            "RECLENS_STACK_THREADS": str(min(cores, 4)),
            "RECLENS_STACK_REDIS": shlex.join(redis_command(ports["redis"], state.redis_data)),
            "RECLENS_STACK_S3": shlex.join(s3_command(ports, state.s3_data, state.s3_identity)),
        }


def data_roots() -> str:
    """Folders of the files that specifications may name: as set, else the current one."""
    return os.environ.get(DATA_ROOTS_VARIABLE, str(Path.cwd()))


def _full_name(name: str) -> str:
    return f"reclens:{name}" if name in APPLICATIONS else name
