"""What breaks, and how it is mended; one class a family of faults."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import signal
import threading
import time
from typing import ClassVar

import psutil

from chaos.programs import Program
from chaos.schedule import OWNER, WORKERS, Plan
from chaos.servers import clock_library
from chaos.serving import swap
from chaos.wires import Answer, Cut, Late, StoreRequest, Verdict
from chaos.world import World
from reclens.contracts import ArtifactKind
from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.platform.jobs.app import make_app

_CUT_OFF_SECONDS = 8.0
_ARTIFACTS = tuple(f"{kind.value}/" for kind in ArtifactKind)


class Fault:
    """A fault of one round.

    Args:
        world: to break.
        plan: of the round.
    """

    explains: ClassVar[tuple[str, ...]] = ()
    """Names of errors with which a job may fail for it."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.plan = plan
        self.victim: Program = world.programs[OWNER[plan.job]]
        """The worker that is hit: whoever asks the store at the moment that was drawn."""

    @classmethod
    def possible(cls) -> str:
        """Empty, or why this machine cannot do it."""
        return ""

    def prepare(self) -> None:
        """Before the job is submitted."""

    def hit(self, request: StoreRequest | None, job_ids: list[str]) -> None:
        """Strike at a request, or at submission."""
        if request is not None:
            self.victim = self.world.programs[request.client]
        self.strike(job_ids)

    def strike(self, job_ids: list[str]) -> None:
        """Break it."""
        raise NotImplementedError

    def heal(self) -> None:
        """Mend it, when its time is over."""

    def afterwards(self, job_ids: list[str]) -> None:
        """When all jobs have ended."""


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


# --- Redis ---------------------------------------------------------------------------------------


class RedisKilled(Fault):
    """Killed, and started again with all that it had written."""

    explains = ("Unavailable", "ConnectionError", "TimeoutError", "OperationalError")

    def strike(self, job_ids: list[str]) -> None:
        self.world.redis.program.kill()

    def heal(self) -> None:
        self.world.redis.program.start()
        self.world.redis.program.wait()


class RedisRolledBack(RedisKilled):
    """Killed, and its last second is lost, as ``appendfsync everysec`` allows."""

    def strike(self, job_ids: list[str]) -> None:
        super().strike(job_ids)
        self.world.redis.forget(1.0)


class RedisForgets(RedisRolledBack):
    """The same while the job's message waits in its queue, so that no worker knows of it."""

    def prepare(self) -> None:
        for wire in self.world.redis_wires.values():
            wire.cut()

    def heal(self) -> None:
        super().heal()
        for wire in self.world.redis_wires.values():
            wire.mend()


class RedisFull(Fault):
    """No command that needs memory is taken."""

    explains = ("OutOfMemoryError", "OOM", "ResponseError", "Unavailable", "OperationalError")

    def strike(self, job_ids: list[str]) -> None:
        self.world.redis.client.config_set("maxmemory", 1)

    def heal(self) -> None:
        self.world.redis.client.config_set("maxmemory", 0)


class RedisReadOnly(Fault):
    """No command that writes is taken: a replica after a failover, or too few replicas."""

    explains = (
        "ReadOnlyError",
        "READONLY",
        "NOREPLICAS",
        "ResponseError",
        "Unavailable",
        "OperationalError",
    )

    def strike(self, job_ids: list[str]) -> None:
        if self.plan.variant == "replica":
            self.world.redis.client.replicaof("127.0.0.1", "1")
        else:
            self.world.redis.client.config_set("min-replicas-to-write", 1)

    def heal(self) -> None:
        self.world.redis.client.replicaof("NO", "ONE")
        self.world.redis.client.config_set("min-replicas-to-write", 0)


# --- the store -----------------------------------------------------------------------------------


class StoreKilled(Fault):
    """The store's process is killed and started again."""

    explains = ("Unavailable",)

    def strike(self, job_ids: list[str]) -> None:
        self.world.s3.program.kill()

    def heal(self) -> None:
        self.world.s3.program.start()
        self.world.s3.program.wait()


class StoreDown(Fault):
    """Nobody can reach it."""

    explains = ("Unavailable",)

    def strike(self, job_ids: list[str]) -> None:
        for wire in self.world.store_wires.values():
            wire.cut()

    def heal(self) -> None:
        for wire in self.world.store_wires.values():
            wire.mend()


class StoreLies(Fault):
    """What the store is asked is answered otherwise for a while; `answer` says how."""

    explains = ("Unavailable",)

    def __init__(self, world: World, plan: Plan) -> None:
        super().__init__(world, plan)
        self.lies = 0
        self._lock = threading.Lock()

    def strike(self, job_ids: list[str]) -> None:
        self.world.traffic.rule = self._rule

    def heal(self) -> None:
        self.world.traffic.rule = None

    def _rule(self, request: StoreRequest) -> Verdict:
        return self.answer(request) if request.number else None

    def answer(self, request: StoreRequest) -> Verdict:
        """What becomes of a request of a worker."""
        raise NotImplementedError

    def lie(self, most: int) -> bool:
        """Whether one more may be told."""
        with self._lock:
            self.lies += 1
            return self.lies <= most


class StoreSlow(StoreLies):
    """Every answer takes longer."""

    def answer(self, request: StoreRequest) -> Verdict:
        time.sleep(float(self.plan.variant))
        return None


class StoreErrors(StoreLies):
    """It answers with its own errors, to some or to all."""

    def answer(self, request: StoreRequest) -> Verdict:
        chance = random.Random(f"{self.plan.seed}-{request.number}")
        if self.plan.variant == "some" and chance.random() < 0.6:
            return None
        return chance.choice(
            (
                Answer(500, "InternalError"),
                Answer(502, "InternalError"),
                Answer(503, "SlowDown"),
                Answer(503, "ServiceUnavailable"),
                Answer(504, "RequestTimeout"),
            )
        )


class StoreConflicts(StoreLies):
    """Puts are answered with 409, as when two of them meet."""

    explains = ("Unavailable",)

    def answer(self, request: StoreRequest) -> Verdict:
        most = 10**9 if self.plan.variant == "all" else int(self.plan.variant)
        if request.method != "PUT" or not self.lie(most):
            return None
        return Answer(409, "ConditionalRequestConflict")


class StoreCut(StoreLies):
    """The connection of the next uploads is cut in the middle, or before the answer."""

    def answer(self, request: StoreRequest) -> Verdict:
        if request.method != "PUT" or not self.lie(2):
            return None
        return Cut(0.5 if self.plan.variant == "half" else 1.0)


class StoreLate(StoreLies):
    """Uploads whose client hears nothing are done by the store long after."""

    def __init__(self, world: World, plan: Plan) -> None:
        super().__init__(world, plan)
        self._arrive = threading.Event()

    def answer(self, request: StoreRequest) -> Verdict:
        if request.method != "PUT" or not self.lie(3):
            return None
        return Late(self._arrive)

    def afterwards(self, job_ids: list[str]) -> None:
        self._arrive.set()
        for thread in self.world.traffic.late:
            thread.join(10)
        self.world.traffic.late.clear()


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
    def possible(cls) -> str:
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
            app.send_task(DATASET_IMPORT.task, kwargs={"spec": {"name": "x" * (8 << 20)}})
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
