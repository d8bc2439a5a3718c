"""A failure detector: hands the messages of dead workers to living ones, in seconds.

Redis does not notice that a worker died: what it had in hand would wait for the visibility
timeout. So each worker keeps its unacknowledged messages under keys of its own and sends
heartbeats: it counts upwards in a hash that all workers see. Whoever sees a count stand still for
too long puts that worker's messages back into their queues and strikes it off, and with that its
leases end. No clocks are compared, only changes seen by one observer; and while Redis is away
nobody is suspected. A worker that was only slow finds its job running twice, which the lease on the
artifact makes harmless.

How long is too long depends on what Redis knows. Heartbeats come over a connection of their own,
which the kernel closes when a process dies: without it a few seconds are enough. A worker that is
busy or frozen still has it, and so has one whose host lost its power; there it takes half a minute.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterable
from typing import Any

import structlog
from celery import Celery
from kombu.connection import Connection
from redis import Redis
from redis.exceptions import ResponseError

from reclens.platform.jobs.lease import WORKERS

_BEATS_UNTIL_DEAD = 4
_LONGEST_TIMEOUT = 30.0
_LONGEST_TIMEOUT_WITHOUT_CONNECTION = 6.0

_log = structlog.get_logger(__name__)


def detection_timeout(visibility_timeout_seconds: float) -> float:
    """Seconds without a heartbeat after which a worker counts as dead: half a minute, and no longer
    than the visibility timeout."""
    return min(_LONGEST_TIMEOUT, visibility_timeout_seconds)


def unacked_keys(worker: str) -> dict[str, str]:
    """Transport options of kombu with the keys for the messages in the hands of ``worker``."""
    return {
        "unacked_key": f"reclens:unacked:{worker}",
        "unacked_index_key": f"reclens:unacked-index:{worker}",
        "unacked_mutex_key": f"reclens:unacked-mutex:{worker}",
    }


def beats_connection(worker: str) -> str:
    """Name of the connection to Redis over which ``worker`` sends heartbeats, and nothing else."""
    return f"{worker}/beats"


class FailureDetector:
    """Tells which workers' counts have stood still for too long, as seen from here.

    Args:
        seconds: too long for a worker of which no more is known.
        seconds_without_connection: too long for one that has no connection to Redis.
    """

    def __init__(self, seconds: float, seconds_without_connection: float | None = None) -> None:
        self._seconds = seconds
        self._unconnected = min(seconds, seconds_without_connection or seconds)
        self._seen: dict[str, tuple[int, float]] = {}
        self._looked_at: float | None = None

    def suspects(
        self, counts: dict[str, int], now: float, connected: Collection[str] | None = None
    ) -> list[str]:
        """Those of ``counts`` without a heartbeat for too long at time ``now``, in seconds.

        Args:
            counts: of heartbeats, by worker.
            now: a clock that only goes forwards.
            connected: workers whose connection Redis sees. None: it does not tell.
        """
        # Who did not look for long, being suspended perhaps, cannot tell who sent none.
        if self._looked_at is not None and now - self._looked_at > self._seconds / 2:
            self.forget()
        self._looked_at = now
        self._seen = {
            worker: seen
            if (seen := self._seen.get(worker)) is not None and seen[0] == count
            else (count, now)
            for worker, count in counts.items()
        }
        known_gone = set[str]() if connected is None else self._seen.keys() - set(connected)
        return [
            worker
            for worker, (_, since) in self._seen.items()
            if now - since >= (self._unconnected if worker in known_gone else self._seconds)
        ]

    def forget(self) -> None:
        """Begin anew, because nothing could be seen for a while."""
        self._seen = {}


class Membership:
    """One worker's part: it sends heartbeats, and hands back the messages of those who send none.

    Not for several threads.

    Args:
        app: its broker options must hold `unacked_keys` of this worker.
        redis: a client whose connection is called `beats_connection`.
        worker: unique to this process, see `unique_name`.
        timeout: seconds, see `detection_timeout`.
    """

    def __init__(self, app: Celery, redis: Redis, worker: str, timeout: float) -> None:
        self._app = app
        self._redis = redis
        self._worker = worker
        unconnected = min(timeout, _LONGEST_TIMEOUT_WITHOUT_CONNECTION)
        self._detector = FailureDetector(timeout, unconnected)
        self._strays: set[str] = set()
        self.interval = unconnected / _BEATS_UNTIL_DEAD

    def beat(self, held: Iterable[str]) -> None:
        """Once every ``interval`` seconds: send a heartbeat, and hand back what dead workers, or
        this one, left behind.

        Args:
            held: delivery tags of the messages that this worker has in hand.

        Raises:
            RedisError: Redis does not answer; see `forget`.
        """
        self._redis.hincrby(WORKERS, self._worker, 1)
        self._keep(set(held))
        counts: dict[str, str] = self._redis.hgetall(WORKERS)  # type: ignore[assignment]
        known = {worker: int(count) for worker, count in counts.items()}
        for worker in self._detector.suspects(known, time.monotonic(), self._connected(known)):
            if worker == self._worker:
                continue
            restored = self._restore(worker, self._tags(worker))
            self._redis.hdel(WORKERS, worker)
            if restored:
                _log.warning("jobs.taken_over", worker=worker, jobs=restored)

    def leave(self) -> None:
        """When the worker has stopped: hand back at once what it took and did not begin.

        Raises:
            RedisError: Redis does not answer; the others will notice.
        """
        left = self._restore(self._worker, self._tags(self._worker))
        self._redis.hdel(WORKERS, self._worker)
        if left:
            _log.info("jobs.handed_back", jobs=left)

    def forget(self) -> None:
        """Redis was away: suspect nobody by what was seen before."""
        self._detector.forget()
        self._strays = set()

    def _connected(self, known: Collection[str]) -> list[str] | None:
        try:
            names = {client["name"] for client in self._redis.client_list(_type="normal")}
        except ResponseError:
            return None
        # Where Redis does not even show this worker's connection, it says nothing of the others'.
        if beats_connection(self._worker) not in names:
            return None
        return [worker for worker in known if beats_connection(worker) in names]

    def _keep(self, held: set[str]) -> None:
        """Renew the messages in hand; hand back those that nobody works on."""
        index = unacked_keys(self._worker)["unacked_index_key"]
        if held:
            # However long a job runs, its message must not count as lost.
            self._redis.zadd(index, dict.fromkeys(held, time.time()), xx=True)
        # After a lost connection Celery forgets messages that it had not begun. Twice in turn:
        # one that has just come or just been done with is not lost.
        strays = set(self._tags(self._worker)) - held
        lost, self._strays = strays & self._strays, strays
        if lost:
            _log.warning("jobs.handed_back", jobs=self._restore(self._worker, sorted(lost)))

    def _tags(self, worker: str) -> list[str]:
        return self._redis.hkeys(unacked_keys(worker)["unacked_key"])  # type: ignore[return-value]

    def _restore(self, worker: str, tags: list[str]) -> int:
        if not tags:
            return 0
        options: dict[str, Any] = {
            **self._app.conf.broker_transport_options,
            **unacked_keys(worker),
        }
        # Kombu's own way of putting a message back; moves each in one transaction.
        with Connection(self._app.conf.broker_url, transport_options=options) as connection:
            qos: Any = connection.default_channel.qos
            for tag in tags:
                qos.restore_by_tag(tag)
        return len(tags)


def unique_name(service: str) -> str:
    """A name for this process that no other has or had."""
    return f"{service}-{uuid.uuid4().hex[:12]}"
