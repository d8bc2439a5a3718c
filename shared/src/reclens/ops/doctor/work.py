"""Checks of jobs and answers: workers, jobs that nothing carries, releases, logs, the gateway."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from redis import Redis

from reclens.contracts import Release, job_kinds
from reclens.errors import (
    CorruptArtifact,
    InvalidInput,
    NotFound,
    NotReady,
    PermissionDenied,
    RecLensError,
    Unauthenticated,
    Unavailable,
)
from reclens.ops.doctor.findings import Finding, Level, ok
from reclens.platform.celery.reconciler import messages
from reclens.platform.jobs.lease import WORKERS
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobView
from reclens.platform.store.append_log import entry_number
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.label_corrections import CorrectionLog
from reclens.platform.store.policy_log import PolicyLog

if TYPE_CHECKING:
    from reclens.api.steering.v1 import steering_pb2 as pb

_BEATS_SECONDS: Final = 7.0
"""A worker counts upwards every five seconds, and more often where time-outs are short."""
_JOBS: Final = 200
_NOBODY: Final = "reclens-doctor"


def check_workers(redis: Redis, log: JobLog, seconds: float = _BEATS_SECONDS) -> Iterator[Finding]:
    """Whether each queue has a worker that lives, and each job a message that carries it.

    Args:
        redis: of the deployment.
        log: of the same.
        seconds: between two looks.
    """
    before, carried = _counts(redis), _carried(redis)
    orphans = {job.id for job in _unfinished(log) if not carried.intersection(_ids(job))}
    time.sleep(seconds)
    alive = {name for name, count in _counts(redis).items() if before.get(name) != count}
    memory: Any = redis.info("memory")
    if alive or not 0 < memory["maxmemory"] <= memory["used_memory"]:
        yield from _queues(redis, alive)
    else:
        yield Finding(
            "workers",
            Level.UNKNOWN,
            "a full Redis takes no heartbeats: nobody can tell which of them live.",
            "let Redis have room, and look again.",
        )
    # What is on its way from one queue to the next is in none for a moment.
    carried = _carried(redis)
    lost = [
        job.id
        for job in _unfinished(log)
        if job.id in orphans and not carried.intersection(_ids(job))
    ]
    for job_id in lost:
        yield Finding(
            "jobs",
            Level.ERROR,
            f"job {job_id} is not over, but no queue and no worker has it.",
            f"`reclens jobs cancel {job_id}`, and submit it again: what it made is found.",
        )
    if not lost:
        yield ok("jobs", "each that is not over is in a queue or with a worker.")


def _queues(redis: Redis, alive: set[str]) -> Iterator[Finding]:
    owners = {kind.queue: kind.owner for kind in job_kinds().values()}
    queues: dict[str, list[str]] = defaultdict(list)
    for queue, owner in owners.items():
        queues[owner.value].append(queue.value)
    for owner, names in sorted(queues.items()):
        # A worker is named after its service, with a number at random.
        n_alive = sum(name.rpartition("-")[0] == owner for name in alive)
        waiting = sum(int(redis.llen(name)) for name in names)  # type: ignore[arg-type]
        told = f"{n_alive} of kind {owner} for {' and '.join(sorted(names))}, {waiting} jobs wait."
        if n_alive:
            yield ok("workers", told)
        else:
            yield Finding(
                "workers",
                Level.ERROR,
                told,
                f"start reclens-{owner} worker (a local stack: `reclens up`), or see its log for "
                "why it does not stay up.",
            )


def _counts(redis: Redis) -> dict[str, str]:
    return redis.hgetall(WORKERS)  # type: ignore[return-value]


def _carried(redis: Redis) -> set[str]:
    """Ids of jobs, and of what they are parts of, in all messages."""
    found: set[str] = set()
    for message in messages(redis):
        headers: Any = message.get("headers") if isinstance(message, dict) else None
        if isinstance(headers, dict):
            found |= {str(headers.get(name)) for name in ("id", "root_id", "parent_id")}
    return found


def _unfinished(log: JobLog) -> list[JobView]:
    return [job for job in log.list(_JOBS) if not job.state.final]


def _ids(job: JobView) -> set[str]:
    shards = [*job.shards, *(shard for stage in job.stages for shard in stage.shards)]
    return {job.id, *(s.job_id for s in job.stages), *(s.job_id for s in shards if s.job_id)}


def check_releases(store: ArtifactStore) -> Iterator[Finding]:
    """Whether each release can be read, and its artifacts, and what they were made from, are
    there."""
    heads = store.releases.heads()
    if not heads:
        yield Finding(
            "releases",
            Level.WARNING,
            "there is none, so nothing is served.",
            "submit a pipeline: reclens deploy init, or reclens submit.",
        )
    for name, head in heads.items():
        if isinstance(head, RecLensError):
            yield Finding(
                "releases",
                Level.ERROR,
                head.message,
                f"`reclens releases rollback {name}` serves the version before.",
            )
            continue
        yield from _parts(store, name, head)


def _parts(store: ArtifactStore, name: str, head: Release) -> Iterator[Finding]:
    parts = (head.recommender, head.autoencoder, head.concepts)
    sizes = {entry.key: entry.size for ref in parts for entry in store.objects.entries(f"{ref}/")}
    try:
        refs = {*parts, *(ref for part in parts for ref in store.lineage(part).values())}
        for ref in parts:
            manifest = store.manifest(ref)
            for entry in manifest.objects:
                if sizes.get(manifest.key(entry.name)) != entry.size:
                    yield Finding(
                        "releases",
                        Level.ERROR,
                        f"{name}: {ref} lacks {entry.name}, or it has another size.",
                        f"`reclens releases rollback {name}`, or bring it back from a backup.",
                    )
                    return
    except RecLensError as error:
        yield Finding(
            "releases",
            Level.ERROR,
            f"{name}: {error.message}",
            f"`reclens releases rollback {name}`, or bring it back from a backup.",
        )
        return
    yield ok("releases", f"{name}: version {head.number}, all {len(refs)} artifacts are there.")


def check_logs(store: ArtifactStore) -> Iterator[Finding]:
    """Whether each entry of each log is still the one that the next entry was written after."""
    found: list[Finding] = []
    for logs in (store.releases, PolicyLog(store.objects)):
        numbers = logs.numbers().items()
        wanted = [(name, number) for name, some in numbers for number in reversed(some)]
        for entry in logs.read(wanted).values():
            if isinstance(entry, CorruptArtifact):
                found.append(Finding("logs", Level.ERROR, entry.message, entry.remedy))
    keys = (key.rpartition("/") for key in store.objects.list("edits/"))
    for folder in {folder for folder, _, name in keys if entry_number("", name)}:
        try:
            CorrectionLog(store, folder.replace("edits/", "autoencoders/", 1)).read()
        except CorruptArtifact as error:
            found.append(Finding("logs", Level.ERROR, error.message, error.remedy))
    yield from found or [ok("logs", "each entry is what the next one was written after.")]


class Gateway(Protocol):
    """What is asked of `reclens.client.SteeringClient`."""

    def releases(self) -> Iterable[pb.Release]:
        """Releases that it knows, served or not."""
        ...

    def recommend(self, *, user_id: str, release: str, top_k: int) -> Any:
        """Recommend for one user."""
        ...


def check_gateway(client: Gateway, store: ArtifactStore) -> Iterator[Finding]:
    """Whether the gateway answers, from the newest releases, and inference with it: of each release
    somebody unknown is asked for."""
    try:
        told = {one.name: one for one in client.releases()}
        yield ok("gateway", "answers.")
        for name in told:
            yield from _ask(client, name)
    except (Unauthenticated, PermissionDenied) as error:
        yield Finding(
            "gateway",
            Level.UNKNOWN,
            f"it answers, and asks for another token ({error.message}).",
            "set RECLENS_CLIENT__TOKEN to one with the scope read.",
        )
        return
    for name, head in store.releases.heads().items():
        one = told.get(name)
        served = one.versions.release_version if one and one.serving else ""
        if isinstance(head, Release) and served != head.version:
            why = f": {one.refusal}" if one and one.refusal else "."
            yield Finding(
                "gateway",
                Level.WARNING,
                f"it does not serve version {head.number} of {name}, the newest{why}",
                "wait a minute; if that stays so, its log says why it refuses the new one.",
            )


def _ask(client: Gateway, release: str) -> Iterator[Finding]:
    try:
        client.recommend(user_id=_NOBODY, release=release, top_k=1)
    except (NotFound, InvalidInput):
        pass  # inference knows whom it knows
    except (NotReady, Unavailable) as error:
        yield Finding("inference", Level.ERROR, f"{release}: {error.message}", error.remedy)
        return
    yield ok("inference", f"answers from {release}.")
