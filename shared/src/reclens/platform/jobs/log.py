"""What happened to jobs: who submitted what, where it is, how it ended.

Celery keeps states and results; this adds what Celery does not keep (the list of jobs, their
specifications, the stages of a pipeline) and shows both as one view.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError, ResponseError

from reclens.contracts import ConceptShardSpec, canonical_json
from reclens.contracts.jobs.kinds import MAX_SPEC_BYTES
from reclens.contracts.specs.pipeline import Stage
from reclens.errors import InvalidSpec, NotFound, StoreUnavailable
from reclens.platform.jobs.app import connect, make_app
from reclens.platform.jobs.outages import outage_of
from reclens.platform.jobs.view import (
    JobState,
    JobView,
    ShardView,
    StageView,
    outcome_of,
    shard_view,
    spec_of,
    with_shards,
)
from reclens.platform.settings.models import RedisSettings

_BROKEN = {JobState.FAILED, JobState.CANCELLED, JobState.PARTIAL}
_INDEX = "reclens:jobs"
_WATCH_SECONDS = 0.5
_MAX_OPEN = 1000
_DISK_MILLISECONDS = 10_000


@dataclass(frozen=True)
class OpenJob:
    """A job that was submitted and has not ended."""

    id: str
    task: str
    spec: dict[str, Any]
    messages: frozenset[str]
    """Ids of the job, its stages and its shards: while it goes on, there is a message of one."""


class JobLog:
    """Submits, lists, shows and cancels jobs.

    Raises (all methods):
        StoreUnavailable: Redis does not answer.
    """

    def __init__(self, settings: RedisSettings, app: Celery | None = None) -> None:
        self._app = app or make_app(settings)
        self._expires = settings.result_expires_seconds
        self._redis = connect(settings)

    # --- for those who submit --------------------------------------------------------------------

    def submit(self, task: str, spec: dict[str, Any]) -> str:
        """Send a job and return its id, once it is on Redis' disk where Redis (7.2 and later) can
        tell: until then a crash of Redis may lose the job and all that is known of it.

        Raises:
            InvalidSpec: the specification is larger than a message may be.
            StoreUnavailable: Redis has not taken the job, or not to its disk; it may run all the
                same.
        """
        size = len(canonical_json(spec))
        if size > MAX_SPEC_BYTES:
            raise InvalidSpec(
                f"the specification has {size} bytes, the limit is {MAX_SPEC_BYTES}.",
                field="spec",
                remedy="put large data into the object store and refer to it.",
            )
        job_id = str(uuid.uuid4())
        with redis_errors():
            self.record(job_id, task, spec)
            self._app.send_task(task, kwargs={"spec": spec}, task_id=job_id)
            self._wait_for_disk(job_id)
        return job_id

    def list(self, limit: int = 50) -> list[JobView]:
        """The newest jobs, newest first; stages of pipelines are shown within them."""
        with redis_errors():
            # A record may expire before the index is next trimmed.
            return [self.show(one) for one in self.ids(limit) if self._redis.exists(_key(one))]

    def ids(self, limit: int = 0) -> list[str]:
        """The newest jobs' ids, newest first; 0: all that are kept."""
        with redis_errors():
            return self._redis.zrevrange(_INDEX, 0, limit - 1)  # type: ignore[return-value]

    def show(self, job_id: str) -> JobView:
        """One job.

        Raises:
            NotFound: no such job, or its record has expired.
        """
        with redis_errors():
            record: dict[str, str] = self._redis.hgetall(_key(job_id))  # type: ignore[assignment]
            if "spec" not in record:  # nothing, or one that is being written
                raise NotFound(
                    f"there is no job {job_id!r}.",
                    field="job_id",
                    remedy="`reclens jobs list` shows the jobs that are kept.",
                )
            # In this order: its last stage has its id, and no job ends before its stages do.
            outcome = self._outcome(job_id, json.loads(record.get("shards") or "[]"))
            stages = self._stages(json.loads(record.get("stages") or "[]"))
        # A pipeline hands its id on to its last stage: until that one has run, its own Celery
        # state says nothing, its stages do.
        if stages and not outcome["state"].final:
            busy = next((stage for stage in stages if not stage.state.final), None)
            stuck = busy is not None and busy.state is JobState.RETRYING
            outcome["state"] = JobState.RETRYING if stuck else JobState.RUNNING
            outcome["progress"] = next((s.progress for s in stages if s.progress), None)
            outcome["waiting"] = next((s.waiting for s in stages if s.waiting), None)
        return JobView(
            id=job_id,
            task=record["task"],
            spec=spec_of(record["spec"]),
            submitted_at=record.get("submitted_at"),
            started_at=record.get("started_at"),
            stages=tuple(stages),
            **outcome,
        )

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop: it leaves the queue, or checkpoints and stops at a safe point."""
        view = self.show(job_id)
        if view.state.final:
            return
        with redis_errors():
            self._redis.set(f"reclens:cancel:{job_id}", "1", ex=self._expires)

    def watch(self, job_id: str, interval: float = _WATCH_SECONDS) -> Iterator[JobView]:
        """The job's view whenever it has changed, until it is final."""
        last: JobView | None = None
        while True:
            view = self.show(job_id)
            if view != last:
                yield view
                last = view
            if view.state.final:
                return
            time.sleep(interval)

    # --- for workers -----------------------------------------------------------------------------

    def record(
        self, job_id: str, task: str, spec: Any, *, listed: bool = True, started: bool = False
    ) -> None:
        """Note a job that was submitted or, when it came from elsewhere, received, and that a
        worker took it. In one transaction, and only the first time counts."""
        key, now = _key(job_id), _now()
        noted = {"submitted_at": now, "task": task, "spec": json.dumps(spec)}
        with self._redis.pipeline(transaction=True) as pipe:
            for field, value in (noted | ({"started_at": now} if started else {})).items():
                pipe.hsetnx(key, field, value)
            pipe.expire(key, self._expires)
            if listed:
                pipe.zadd(_INDEX, {job_id: time.time()}, nx=True)
                pipe.zremrangebyscore(_INDEX, 0, time.time() - self._expires)
            pipe.execute()

    def submitted_at(self, job_id: str) -> str:
        """When a job was submitted; empty where nothing is kept of it."""
        return self._redis.hget(_key(job_id), "submitted_at") or ""  # type: ignore[return-value]

    def planned(self, job_id: str, stages: list[tuple[str, Stage]]) -> None:
        """Note the stages of a pipeline with their job ids."""
        plan = [
            {"job_id": stage_id, "name": stage.name, "artifact": stage.artifact}
            for stage_id, stage in stages
        ]
        self._redis.hset(_key(job_id), "stages", json.dumps(plan))

    def planned_shards(
        self, job_id: str, shards: Sequence[tuple[str | None, ConceptShardSpec]]
    ) -> None:
        """Note the shards of a labelling with their job ids; None for one that was found."""
        plan = [
            {
                "job_id": shard_id,
                "first": shard.first,
                "stop": shard.stop,
                "artifact": shard.artifact_ref(),
            }
            for shard_id, shard in shards
        ]
        self._redis.hset(_key(job_id), "shards", json.dumps(plan))

    def shards(self, job_id: str) -> tuple[ShardView, ...]:
        """The planned shards of a labelling, and where they are; none where none were planned."""
        return tuple(self._shards(self._planned_shards(job_id)))

    def open_jobs(self) -> Sequence[OpenJob]:
        """Those of the newest thousand jobs that have not ended."""
        newest: Any = self._redis.zrevrange(_INDEX, 0, _MAX_OPEN - 1)
        found: list[OpenJob] = []
        for job_id, meta in zip(newest, self._metas(newest), strict=True):
            if outcome_of(meta)["state"].final:
                continue
            record: Any = self._redis.hgetall(_key(job_id))
            if "spec" not in record:
                continue  # expired
            parts = [job_id, *(one["job_id"] for one in json.loads(record.get("stages") or "[]"))]
            shards = [one["job_id"] for part in parts for one in self._planned_shards(part)]
            messages = frozenset(filter(None, [*parts, *shards]))
            found.append(OpenJob(job_id, record["task"], json.loads(record["spec"]), messages))
        return found

    def count_resent(self, job_id: str) -> int:
        """Note that a job is sent again, because its messages were lost; how often by now."""
        return int(self._redis.hincrby(_key(job_id), "resent", 1))  # type: ignore[arg-type]

    def cancelled(self, *job_ids: str | None) -> bool:
        """Whether any of these jobs (a stage and its pipeline) was asked to stop."""
        keys = [f"reclens:cancel:{job_id}" for job_id in job_ids if job_id]
        return bool(keys and self._redis.exists(*keys))

    # ---------------------------------------------------------------------------------------------

    def _wait_for_disk(self, job_id: str) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            # It waits for what its own connection has written: this, and with it all before it.
            pipe.expire(_key(job_id), self._expires)
            pipe.execute_command("WAITAOF", 1, 0, _DISK_MILLISECONDS)
            kept, synced = pipe.execute(raise_on_error=False)
        for answer in (kept, synced):
            if isinstance(answer, Exception) and outage_of(answer) is not None:
                raise answer
        # An older Redis, one without a disk, or an account without the right cannot tell.
        told = not isinstance(synced, ResponseError)
        if not kept or (told and not synced[0]):
            raise StoreUnavailable(
                f"Redis has not put job {job_id} on its disk.",
                field="redis.url",
                remedy="see Redis' log, and submit the job again: what is made is found.",
            )

    def _planned_shards(self, job_id: str) -> list[dict[str, Any]]:
        noted: Any = self._redis.hget(_key(job_id), "shards")
        return json.loads(noted or "[]")

    def _stages(self, planned: list[dict[str, str]]) -> list[StageView]:
        views: list[StageView] = []
        broken = False
        for stage in planned:
            outcome = self._outcome(stage["job_id"], self._planned_shards(stage["job_id"]))
            del outcome["finished_at"]
            if broken:
                # Celery gives the stages after a failed one its failure; they never ran.
                outcome |= {"state": JobState.SKIPPED, "error": None}
            broken = broken or outcome["state"] in _BROKEN
            views.append(StageView(**stage, **outcome))
        return views

    def _outcome(self, job_id: str, shards: list[dict[str, Any]]) -> dict[str, Any]:
        (meta,) = self._metas([job_id])
        return with_shards(outcome_of(meta), self._shards(shards))

    def _shards(self, planned: list[dict[str, Any]]) -> list[ShardView]:
        sent = [shard["job_id"] for shard in planned if shard["job_id"]]
        metas = dict(zip(sent, self._metas(sent), strict=True))
        return [shard_view(shard, metas.get(shard["job_id"])) for shard in planned]

    def _metas(self, job_ids: Sequence[str]) -> list[dict[str, Any]]:
        """What Celery keeps of these tasks, in one round trip."""
        if not job_ids:
            return []
        backend: Any = self._app.backend
        stored = backend.mget([backend.get_key_for_task(job_id) for job_id in job_ids])
        return [
            backend.decode_result(one) if one else {"status": "PENDING", "result": None}
            for one in stored
        ]


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn an outage of Redis into `StoreUnavailable`."""
    try:
        yield
    except (RedisError, KombuError) as error:
        if (outage := outage_of(error)) is None:
            raise
        raise outage from error


def _key(job_id: str) -> str:
    return f"reclens:job:{job_id}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
