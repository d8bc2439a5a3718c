"""Brings the local stack up, reports on it, takes it down."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from reclens.contracts import QueueName
from reclens.errors import Unavailable
from reclens.ops.local.health import log_tail, redis_answers, s3_answers
from reclens.ops.local.processes import await_end, owner_of, stop
from reclens.ops.local.servers import remove_s3_sockets
from reclens.ops.local.state import StateFolder
from reclens.ops.local.supervision import (
    APPLICATIONS,
    DATA_ROOTS_VARIABLE,
    SERVERS,
    ProgramStatus,
    Supervisor,
    data_roots,
)
from reclens.platform.polling import poll_until

Report = Callable[[str], None]

_START_SECONDS = 120.0
_STOP_SECONDS = 90.0
_POLL_SECONDS = 0.1
_STARTS = 3
"""A process that has to be started this often while it is waited for will not come."""
# The queue that tells that a worker consumes, by program.
_QUEUE_OF = {
    "capture": QueueName.CAPTURE,
    "train": QueueName.TRAIN,
    "label": QueueName.LABEL,
}


@dataclass(frozen=True)
class PartStatus(ProgramStatus):
    """One part of the stack: its program, and whether it answers."""

    healthy: bool
    """Whether it answers."""
    detail: str
    """What it answers, or what is missing."""


class LocalStack:
    """All processes of RecLens on this machine, for one state folder."""

    def __init__(self, state: StateFolder) -> None:
        self.state = state
        self._supervisor = Supervisor(state)

    def running(self) -> bool:
        """Whether a supervisor of this folder lives, healthy or not."""
        return self._supervisor.process() is not None

    def up(self, report: Report) -> dict[str, str]:
        """Start what does not run, wait until all answers.

        Args:
            report: called with one line for each thing that happens.

        Returns:
            The endpoints, as written to ``endpoints.json``.

        Raises:
            Unavailable: something died or does not answer; the message ends with its log. What
                this call had started is stopped again.
        """
        with self.state.locked():
            self.state.prepare()
            fresh = not self._supervisor.answers()
            try:
                if fresh:
                    self._start_supervisor(report)
                return self._complete(report)
            except BaseException:
                if fresh:
                    self._stop(lambda _line: None)
                raise

    def down(self, report: Report) -> bool:
        """Stop everything that was started for this folder, also after a crash.

        Returns:
            Whether there was anything to stop.
        """
        if not self.state.root.exists():
            return False
        with self.state.locked():
            return self._stop(report)

    def status(self) -> list[PartStatus]:
        """Every part, probed now. Empty when no stack runs."""
        if not self._supervisor.answers():
            return []
        programs = self._supervisor.programs()
        names = [name for name in (*SERVERS, *APPLICATIONS) if name in programs]
        queues = self._consumed_queues() if _running(programs["redis"]) else set()
        with ThreadPoolExecutor(len(names)) as pool:
            details = list(pool.map(lambda name: self._probe(name, queues), names))
        return [
            PartStatus(
                **asdict(programs[name]),
                healthy=_running(programs[name]) and healthy,
                detail=detail,
            )
            for name, (healthy, detail) in zip(names, details, strict=True)
        ]

    # --- up --------------------------------------------------------------------------------------

    def _start_supervisor(self, report: Report) -> None:
        if self._leftovers():
            report("stopping what a crashed stack left behind")
            self._stop(lambda _line: None)
        ports = self.state.choose_ports()
        report(
            f"jobs may read files below {data_roots() or 'no folder'} "
            f"({DATA_ROOTS_VARIABLE} lists others)"
        )
        report("starting Redis and S3")
        self._supervisor.start(ports)

    def _complete(self, report: Report) -> dict[str, str]:
        from reclens.platform.store.objects import S3Store  # noqa: PLC0415

        started = time.monotonic()
        repaired = self._supervisor.ensure_started(SERVERS)
        self._await(SERVERS, report)
        S3Store(self.state.settings().s3).ensure_bucket()
        begun = self._supervisor.ensure_started(APPLICATIONS)
        if begun:
            report(f"starting {', '.join(begun)}")
        self._await(APPLICATIONS, report)
        endpoints = self.state.publish()
        how = "is up" if begun or repaired else "was up already"
        report(f"the stack {how} ({time.monotonic() - started:.1f} s)")
        return endpoints

    def _await(self, names: Sequence[str], report: Report) -> None:
        """Wait until each answers; one that dies again and again ends the wait at once."""
        waiting = list(names)
        pids: dict[str, set[int]] = {name: set() for name in names}

        def all_answer() -> bool:
            queues = set[str]() if _QUEUE_OF.keys().isdisjoint(waiting) else self._consumed_queues()
            programs = self._supervisor.programs()
            for name in list(waiting):
                pid = programs[name].pid
                pids[name] |= set() if pid is None else {pid}
                gave_up = programs[name].state in {"FATAL", "EXITED", "STOPPED"}
                if gave_up or len(pids[name]) >= _STARTS:
                    raise self._failed(name, "does not stay up")
                if _running(programs[name]) and self._probe(name, queues)[0]:
                    report(f"{name} answers")
                    waiting.remove(name)
            return not waiting

        if not poll_until(all_answer, seconds=_START_SECONDS, every=_POLL_SECONDS):
            raise self._failed(waiting[0], f"is silent after {_START_SECONDS:.0f} s")

    def _failed(self, name: str, problem: str) -> Unavailable:
        log = self.state.logs / f"{name}.log"
        return Unavailable(
            f"{name} {problem}. End of {log}:\n{log_tail(log)}\n",
            remedy="mend what the log complains of and run `reclens up` again.",
        )

    # --- down ------------------------------------------------------------------------------------

    def _stop(self, report: Report) -> bool:
        supervisor = self._supervisor.process()
        leftovers = self._leftovers()
        if supervisor is not None:
            report("stopping the stack; workers save their state first")
            self._supervisor.shut_down()
            # The process, not its pid file, which it removes a moment before it ends.
            if not await_end(supervisor, _STOP_SECONDS):
                # It would restart what is stopped below.
                stop([supervisor], patience_seconds=1)
        for names in (APPLICATIONS, SERVERS):
            processes = [owner_of(self.state.pids / f"{name}.pid") for name in names]
            stop([one for one in processes if one is not None], patience_seconds=30)
        for pid_file in self.state.pids.glob("*.pid"):
            pid_file.unlink(missing_ok=True)
        ports = self.state.ports()
        if ports is not None:
            remove_s3_sockets(ports)
        self.state.unpublish()
        stopped = supervisor is not None or leftovers
        report("the stack is down" if stopped else "no stack was running")
        return stopped

    def _leftovers(self) -> bool:
        return any(
            owner_of(self.state.pids / f"{name}.pid") is not None
            for name in (*SERVERS, *APPLICATIONS)
        )

    # --- probes ----------------------------------------------------------------------------------

    def _probe(self, name: str, queues: set[str]) -> tuple[bool, str]:
        settings, endpoints = self.state.settings(), self.state.endpoints()
        if name == "redis":
            return redis_answers(settings.redis), endpoints["redis"]
        if name == "s3":
            return s3_answers(settings.s3), endpoints["s3"]
        if name in _QUEUE_OF:
            queue = _QUEUE_OF[name].value
            consumes = queue in queues
            return consumes, f"{'consumes' if consumes else 'does not answer on'} queue {queue}"
        from reclens.platform.grpc.health_probe import grpc_status  # noqa: PLC0415 - slow as well

        status = grpc_status(endpoints[name])
        said = "no answer" if status is None else status
        return status is not None, f"{endpoints[name]}, {said}"

    def _consumed_queues(self) -> set[str]:
        # Slow imports, not needed to take a stack down.
        from kombu.exceptions import OperationalError  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        from reclens.platform.jobs.app import make_app  # noqa: PLC0415

        app = make_app(self.state.settings().redis)
        try:
            # A connection of its own: a pooled one may be of a Redis that has been restarted.
            with app.connection_for_write() as connection:
                # Ends when every worker has answered; one that is missing costs the time-out.
                inspect = app.control.inspect(
                    timeout=1.0, limit=len(_QUEUE_OF), connection=connection
                )
                answers = inspect.active_queues() or {}
        except (OSError, OperationalError, RedisError):
            return set()
        return {queue["name"] for queues in answers.values() for queue in queues}


def _running(program: ProgramStatus) -> bool:
    # STARTING is RUNNING that has not lasted yet.
    return program.state in {"RUNNING", "STARTING"}
