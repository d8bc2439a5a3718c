"""What breaks, and how it is mended; one class a family of faults."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import threading
import time

import psutil

from chaos.fault import Fault
from chaos.programs import Program
from chaos.schedule import OWNER, WORKERS, Plan
from chaos.server_faults import (
    RedisForgets,
    RedisFull,
    RedisKilled,
    RedisReadOnly,
    RedisRolledBack,
    StoreConflicts,
    StoreCut,
    StoreDown,
    StoreErrors,
    StoreKilled,
    StoreLate,
    StoreSlow,
)
from chaos.servers import clock_library
from chaos.serving import swap
from chaos.wires import StoreRequest
from chaos.world import World
from reclens.contracts import ArtifactKind
from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.platform.jobs.app import make_app

_CUT_OFF_SECONDS = 8.0
_ARTIFACTS = tuple(f"{kind.value}/" for kind in ArtifactKind)


class Killed(Fault):
    """SIGKILL to a worker that stays down for a while: to the whole of it, or to its main process,
    which leaves those of its pool without a parent."""

    def strike(self, job_ids: list[str]) -> None:
        self.victim.hold()
        self.victim.send(signal.SIGKILL, self.part())

    def part(self) -> str:
        """Of the process, see `Program.send`."""
        return self.plan.variant

    def heal(self) -> None:
        self.victim.start()


class PoolKilled(Fault):
    """Its pool alone; a worker of threads has none, and is killed."""

    def strike(self, job_ids: list[str]) -> None:
        self.victim.send(signal.SIGKILL, "pool")


class ServingKilled(Killed):
    """SIGKILL to the gateway or to inference."""

    def strike(self, job_ids: list[str]) -> None:
        self.victim = self.world.programs[self.plan.variant]
        super().strike(job_ids)

    def part(self) -> str:
        return "whole"


class Terminated(Fault):
    """SIGTERM to a worker's main process, as an orderly stop sends it."""

    def strike(self, job_ids: list[str]) -> None:
        self.victim.send(signal.SIGTERM, "main")


class Stopped(Fault):
    """A worker is suspended for longer than its lease; another one stands by."""

    def strike(self, job_ids: list[str]) -> None:
        self.victim.send(signal.SIGSTOP)

    def heal(self) -> None:
        self.victim.send(signal.SIGCONT)


class CutOff(Stopped):
    """The same, and it wakes while the other worker uploads, unable to reach Redis: only the store.

    The other one's upload waits meanwhile, so that whatever the first does falls before it.
    """

    explains = ("ConnectionError", "Unavailable")

    def __init__(self, world: World, plan: Plan) -> None:
        super().__init__(world, plan)
        self._uploads = 0
        self._woken = threading.Event()
        self._deleted = threading.Event()
        self._lock = threading.Lock()

    def strike(self, job_ids: list[str]) -> None:
        super().strike(job_ids)
        self.world.traffic.rule = self._rule

    def heal(self) -> None:
        self._wake()
        self.world.traffic.rule = None
        self.world.redis_wires[self.victim.name].mend()

    def _rule(self, request: StoreRequest) -> None:
        if request.client == self.victim.name and request.method == "DELETE":
            self._deleted.set()
        if request.method == "PUT" and request.client not in ("", self.victim.name):
            if not request.key.startswith(_ARTIFACTS):
                return
            with self._lock:
                self._uploads += 1
                last = request.key.endswith("/manifest.json")
                due = last if self.plan.variant == "manifest" else self._uploads > 1
                if due and not self._woken.is_set():
                    self._wake()

    def _wake(self) -> None:
        if self._woken.is_set():
            return
        self._woken.set()
        self.world.redis_wires[self.victim.name].cut()
        self.victim.send(signal.SIGCONT)
        # It may compute on for a while before it asks Redis anything.
        self._deleted.wait(_CUT_OFF_SECONDS)
        time.sleep(1.0)


# --- the machine ---------------------------------------------------------------------------------


class DiskFull(Fault):
    """The file system of the workers' caches and scratch files is full."""

    explains = ("DiskFull", "Unavailable", "NotReady")

    def strike(self, job_ids: list[str]) -> None:
        self.world.disk.fill(self.world.workers())

    def heal(self) -> None:
        self.world.disk.free(self.world.workers())


class MemoryShort(Fault):
    """A worker gets no more memory than it has."""

    explains = ("MemoryError", "Poisoned", "OSError", "RuntimeError", "WorkerLostError")

    def strike(self, job_ids: list[str]) -> None:
        self.victim.limit(resource.RLIMIT_AS, _used_bytes)

    def heal(self) -> None:
        self.victim.limit(resource.RLIMIT_AS, lambda _pid: resource.RLIM_INFINITY)


def _used_bytes(pid: int) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).memory_info().vms
    return resource.RLIM_INFINITY


class ClockOff(Fault):
    """The worker's clock is an hour off."""

    explains = ("set the clock",)

    @classmethod
    def possible(cls, world: World) -> str:
        return "" if clock_library() else "libfaketime is not installed"

    def prepare(self) -> None:
        self.victim.kill()
        self.victim.extra = {
            "LD_PRELOAD": str(clock_library()),
            "FAKETIME": self.plan.variant,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }
        self.victim.start()

    def strike(self, job_ids: list[str]) -> None:
        """The clock was off before."""

    def afterwards(self, job_ids: list[str]) -> None:
        self.victim.kill()
        self.victim.extra = {}
        self.victim.start()
        self.victim.wait()


# --- messages ------------------------------------------------------------------------------------


class MessageTwice(Fault):
    """The job's message is delivered again: at once, to whoever is free, or after it has ended."""

    def strike(self, job_ids: list[str]) -> None:
        if self.plan.variant == "at-once":
            self._send(job_ids)

    def afterwards(self, job_ids: list[str]) -> None:
        if self.plan.variant == "afterwards":
            self._send(job_ids)
            time.sleep(2)

    def _send(self, job_ids: list[str]) -> None:
        task, spec = self.world.jobs[self.plan.job]
        app = make_app(self.world.redis.settings)
        for job_id in job_ids:
            app.send_task(task, kwargs={"spec": spec}, task_id=job_id)


class MessagesReordered(Fault):
    """Messages change places while no worker looks."""

    def prepare(self) -> None:
        for worker in self.world.workers():
            worker.send(signal.SIGSTOP)

    def strike(self, job_ids: list[str]) -> None:
        client = self.world.redis.client
        queue = self._queue()
        messages = client.lrange(queue, 0, -1)
        if messages:
            client.delete(queue)
            client.rpush(queue, *reversed(messages))
        for worker in self.world.workers():
            worker.send(signal.SIGCONT)

    def _queue(self) -> str:
        return "pipeline" if self.plan.job in ("pipeline", "release") else OWNER[self.plan.job]


class MessagePoisoned(MessagesReordered):
    """A message that cannot be run lies before the job's in the queue."""

    def strike(self, job_ids: list[str]) -> None:
        client, queue, variant = self.world.redis.client, self._queue(), self.plan.variant
        app = make_app(self.world.redis.settings)
        if variant == "no-json":
            client.rpush(queue, b"\xff\xfe{")
        elif variant == "no-envelope":
            client.rpush(queue, json.dumps({"body": 5}))
        elif variant == "unknown-task":
            app.send_task("reclens.none.v1", kwargs={}, queue=queue)
        elif variant == "bad-spec":
            app.send_task(DATASET_IMPORT.task, kwargs={"spec": {"name": 5}})
        elif variant == "no-spec":
            app.send_task(DATASET_IMPORT.task, kwargs={})
        else:
            # Redis takes none of more than 4 MiB, and base64 makes it a third longer.
            app.send_task(DATASET_IMPORT.task, kwargs={"spec": {"name": "x" * (2 << 20)}})
        for worker in self.world.workers():
            worker.send(signal.SIGCONT)


class TwoWorkers(Fault):
    """Two workers are given the same work at once, as two jobs."""

    def strike(self, job_ids: list[str]) -> None:
        """The second job and the second worker are all."""


class ReleaseSwapped(Fault):
    """What is served changes back and forth meanwhile."""

    def __init__(self, world: World, plan: Plan) -> None:
        super().__init__(world, plan)
        self._leaving = threading.Event()
        self._thread = threading.Thread(
            target=swap, args=(world, plan.seconds, self._leaving), daemon=True
        )

    def prepare(self) -> None:
        self._thread.start()

    def strike(self, job_ids: list[str]) -> None:
        """It changes already."""

    def afterwards(self, job_ids: list[str]) -> None:
        self._thread.join()


CLASSES: dict[str, type[Fault]] = {
    "worker-killed": Killed,
    "pool-killed": PoolKilled,
    "serving-killed": ServingKilled,
    "worker-terminated": Terminated,
    "worker-stopped": Stopped,
    "worker-cut-off": CutOff,
    "redis-killed": RedisKilled,
    "redis-full": RedisFull,
    "redis-read-only": RedisReadOnly,
    "redis-rolled-back": RedisRolledBack,
    "redis-forgets": RedisForgets,
    "store-killed": StoreKilled,
    "store-down": StoreDown,
    "store-slow": StoreSlow,
    "store-5xx": StoreErrors,
    "store-409": StoreConflicts,
    "store-cut": StoreCut,
    "store-late": StoreLate,
    "disk-full": DiskFull,
    "memory-short": MemoryShort,
    "message-twice": MessageTwice,
    "messages-reordered": MessagesReordered,
    "message-poisoned": MessagePoisoned,
    "two-workers": TwoWorkers,
    "clock-off": ClockOff,
    "release-swapped": ReleaseSwapped,
}


def standby(world: World, plan: Plan) -> Program:
    """A second worker of the kind that takes the plan's job, started."""
    program = world.programs[f"{OWNER[plan.job]}-2"]
    program.start()
    program.wait()
    return program


assert set(WORKERS) == set(OWNER.values())
