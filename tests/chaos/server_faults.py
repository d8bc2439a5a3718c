"""How Redis and the object store break, and are mended."""

from __future__ import annotations

import random
import threading
import time

from chaos.fault import Fault
from chaos.schedule import Plan
from chaos.wires import Answer, Cut, Late, StoreRequest, Verdict
from chaos.world import World

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
    """The same while the job's message waits in its queue, so that no worker knows of it. A job
    that was accepted is on the disk by then."""

    @classmethod
    def possible(cls, world: World) -> str:
        return "" if world.redis.tells_disk() else "Redis before 7.2 does not tell what is on disk"

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
