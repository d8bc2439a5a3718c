"""A watchdog beside a worker: it feeds the health probe of the container while the worker consumes,
and ends one that has silently stopped consuming.

A thread looks every few seconds. It asks Redis, not the worker, whether the worker asks for
messages (its connection has the worker's name and waits in BRPOP), looks whether all slots hold
jobs instead, and whether messages wait while none come in. A worker that does consume renews its
heartbeat file, which `reclens.platform.celery.health_probe` reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import billiard
import structlog
from celery import Celery, bootsteps
from celery.worker import state
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from reclens.platform.celery.failure_detector import (
    Membership,
    beats_connection,
    detection_timeout,
)
from reclens.platform.celery.reconciler import Reconciler
from reclens.platform.celery.redis_transport import is_stopping
from reclens.platform.jobs.app import connect
from reclens.platform.jobs.log import JobLog
from reclens.platform.settings.models import WorkerSettings

EXIT_CODE = 75
"""Of a worker that ended itself: EX_TEMPFAIL, start it again."""

_STALLS_UNTIL_END = 3
_LEAVE_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Health(StrEnum):
    """What the file says; one that is not renewed says that consumption has stalled."""

    CONSUMING = "consuming"
    RECONNECTING = "reconnecting"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Observation:
    """What is seen of a worker at one moment."""

    redis: bool
    """Redis answers."""
    stopping: bool = False
    """It was told to stop."""
    loop_seconds: float = 0.0
    """Since its event loop last turned."""
    full: bool = False
    """All its slots hold jobs."""
    asking: bool = True
    """It asks Redis for messages."""
    waiting: int = 0
    """Messages in its queues."""
    received: int = 0
    """Messages that it has received so far."""


class StallDetector:
    """Tells from observations whether consumption has stalled, and since when.

    Args:
        stall_seconds: see `HeartbeatSettings`.
    """

    def __init__(self, stall_seconds: float) -> None:
        self._allowed = stall_seconds
        self._well_at: float | None = None
        self._looked_at: float | None = None
        self._received = 0

    def health(self, seen: Observation, now: float) -> Health | None:
        """None where it has not consumed for ``stall_seconds``."""
        suspended = self._looked_at is not None and now - self._looked_at > self._allowed / 2
        self._looked_at = now
        fault = self.fault(seen)
        self._received = seen.received
        # Neither an outage of Redis nor a sleep of the whole machine is held against the worker.
        if self._well_at is None or fault is None or suspended or not seen.redis:
            self._well_at = now
        if seen.stopping:
            return Health.STOPPING
        if not seen.redis:
            return Health.RECONNECTING
        return Health.CONSUMING if self.stalled(now) < self._allowed else None

    def stalled(self, now: float) -> float:
        """Seconds since all was well."""
        return 0.0 if self._well_at is None else now - self._well_at

    def hopeless(self, now: float) -> bool:
        """Whether a fresh process is the only help left."""
        return self.stalled(now) >= _STALLS_UNTIL_END * self._allowed

    def fault(self, seen: Observation) -> str | None:
        """What is wrong at this moment; None where nothing is."""
        if seen.stopping:
            return None
        if seen.loop_seconds >= self._allowed:
            return f"the event loop has not turned for {seen.loop_seconds:.0f} s"
        if seen.full:
            return None
        if not seen.asking:
            return "it does not ask Redis for messages"
        if seen.waiting and seen.received == self._received:
            return f"{seen.waiting} messages wait and none come in"
        return None


class Watchdog:
    """Watches over this process's worker.

    Args:
        app: of the worker.
        worker: its name as a member and of its connections to Redis.
        queues: that it consumes.
        slots: jobs that it runs at once.
        settings: of the worker.
    """

    def __init__(
        self,
        app: Celery,
        worker: str,
        *,
        queues: list[str],
        slots: int,
        settings: WorkerSettings,
    ) -> None:
        self._app = app
        self._worker = worker
        self._queues = queues
        self._slots = slots
        self._redis_settings = settings.redis
        self._settings = settings.heartbeat
        self._stalls = StallDetector(self._settings.stall_seconds)
        self._turned_at = time.monotonic()
        self._timer: Any = None
        self._member: Membership | None = None
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.gave_up = False
        self._given_up = ""
        # What a predecessor left says nothing about this process.
        if self._settings.file is not None:
            self._settings.file.unlink(missing_ok=True)

    def attach(self) -> None:
        """Begin when the worker first connects: by then its pool has forked."""
        watchdog = self

        class WatchdogStep(bootsteps.StartStopStep):
            """A step of the worker's consumer: Celery starts it again with each connection."""

            requires = ("celery.worker.consumer.tasks:Tasks",)

            def start(self, parent: Any) -> None:
                watchdog._connected(parent)

        steps: dict[str, set[type]] = self._app.steps  # type: ignore[assignment]
        steps["consumer"].add(WatchdogStep)

    def give_up(self, fault: str) -> None:
        """End this process at the next look, as one that has stalled; from any thread."""
        self._given_up = fault

    def leave(self) -> None:
        """End when the worker has stopped, and hand back what it did not begin."""
        self._left.set()
        if not self._thread.is_alive():
            return
        self._thread.join(_LEAVE_SECONDS)
        if self._member is not None and not self._thread.is_alive():
            # Redis may be away: then the others will notice that this worker sends no heartbeats.
            with contextlib.suppress(RedisError, OSError):
                self._member.leave()

    def _connected(self, consumer: Any) -> None:
        # Runs in the worker's main thread.
        if self._timer is not None:
            self._timer.cancel()
        if consumer.hub is not None:
            self._timer = consumer.hub.call_repeatedly(1.0, self._turn)
        self._turn()
        if not self._thread.is_alive():
            self._thread.start()

    def _turn(self) -> None:
        self._turned_at = time.monotonic()

    # --- the thread ------------------------------------------------------------------------------

    def _watch(self) -> None:
        redis = connect(self._redis_settings, beats_connection(self._worker))
        timeout = detection_timeout(self._redis_settings.visibility_timeout_seconds)
        member = self._member = Membership(self._app, redis, self._worker, timeout)
        lost = self._settings.lost_seconds
        reconciler = Reconciler(self._app, redis, JobLog(self._redis_settings, self._app), lost)
        interval = min(member.interval, self._settings.stall_seconds / 4)
        reconciled_at = time.monotonic()
        while not self._left.is_set():
            try:
                self._observe(redis, member)
                if lost and time.monotonic() - reconciled_at > lost / 4:
                    reconciled_at = time.monotonic()
                    reconciler.look(reconciled_at)
            except (RedisError, OSError):
                reconciler.forget()
            except Exception:  # noqa: BLE001 - a watch that died would look like a stalled worker
                _log.exception("watchdog.failed")
            self._left.wait(interval)

    def _observe(self, redis: Redis, member: Membership) -> None:
        try:
            member.beat(tags_in_hand())
            seen = self._seen(redis)
        except (RedisError, OSError):
            member.forget()
            seen = Observation(redis=False, stopping=is_stopping())
        fault, now = self._stalls.fault(seen), time.monotonic()
        health = self._stalls.health(seen, now)
        if self._given_up:
            self._end(self._given_up, 0.0)
        elif health is not None:
            self._renew(health, seen)
        elif self._stalls.hopeless(now):
            self._end(f"{fault}", self._stalls.stalled(now))
        else:
            _log.warning("worker.stalled", fault=fault, seconds=round(self._stalls.stalled(now)))

    def _seen(self, redis: Redis) -> Observation:
        lengths = [redis.llen(queue) for queue in self._queues]
        return Observation(
            redis=True,
            stopping=is_stopping(),
            loop_seconds=time.monotonic() - self._turned_at if self._timer is not None else 0.0,
            full=len(state.reserved_requests) >= self._slots,
            asking=self._asks(redis),
            waiting=sum(int(length) for length in lengths),  # type: ignore[arg-type]
            received=state.all_total_count[0],
        )

    def _asks(self, redis: Redis) -> bool:
        try:
            clients = redis.client_list(_type="normal")
        except ResponseError:
            return True  # a server that does not tell; the other signs are left
        return any(
            client["name"] == self._worker
            and client["cmd"] == "brpop"
            and int(client["idle"]) < self._settings.stall_seconds / 2
            for client in clients
        )

    def _renew(self, health: Health, seen: Observation) -> None:
        path = self._settings.file
        if path is None:
            return
        told = {
            "health": health.value,
            "pid": os.getpid(),
            "worker": self._worker,
            "time": time.time(),
            "queues": self._queues,
            "waiting": seen.waiting,
            "jobs": len(state.reserved_requests),
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f".{path.name}.{os.getpid()}")
            fresh.write_text(json.dumps(told))
            fresh.replace(path)
        except OSError as error:
            _log.warning("heartbeat.not_written", file=str(path), error=str(error))

    def _end(self, fault: str, seconds: float) -> None:
        """End this process the way SIGTERM does, and by force after a while."""
        self.gave_up = True
        _log.error("worker.ends_itself", fault=fault, seconds=round(seconds))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._settings.grace_seconds)
        _log.error("worker.ends_by_force", seconds=self._settings.grace_seconds)
        for child in billiard.active_children():  # type: ignore[attr-defined]
            os.kill(child.pid, signal.SIGKILL)
        os._exit(EXIT_CODE)


def tags_in_hand() -> set[str]:
    """Delivery tags of the messages that this worker runs, or keeps for later."""
    # Copies, made in one step of the interpreter: other threads change these sets.
    kept = (state.reserved_requests, state.active_requests, state.scheduled_requests)
    requests = [ref() for one in kept for ref in one.data.copy()]  # type: ignore[attr-defined]
    return {request.message.delivery_tag for request in requests if request is not None}
