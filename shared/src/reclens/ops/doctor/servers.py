"""Checks of the servers that all else stands on: Redis, the store, the disk of this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from redis import Redis

from reclens.ops.doctor.findings import Finding, Level, ok
from reclens.platform.store.objects import ObjectStore

_OLDEST_REDIS: Final = (6, 2)
_FULL: Final = 0.9
_SKEW_SECONDS: Final = 30.0
_MANY_DEAD_SECONDS: Final = 7 * 24 * 3600.0
_PROBE: Final = "edits/doctor/conditional-put"
_LOW_BYTES, _NO_BYTES = 5 << 30, 1 << 30


def check_redis(redis: Redis) -> Iterator[Finding]:
    """Whether it answers, keeps what it is told, and refuses rather than forgets."""
    started = time.monotonic()
    redis.ping()
    yield ok("redis", f"answers within {1000 * (time.monotonic() - started):.0f} ms.")
    seconds, _ = redis.time()  # type: ignore[misc]
    yield _skew("redis", float(seconds) - time.time())
    info: dict[str, Any] = redis.info()  # type: ignore[assignment]
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_REDIS:
        yield Finding("redis", Level.ERROR, f"it is of version {version}.", "take 6.2 or newer.")
    if info.get("role") != "master":
        yield Finding(
            "redis",
            Level.ERROR,
            "it is a replica, which takes no writes.",
            "let RECLENS_REDIS__URL lead to the primary.",
        )
    yield _durability(info)
    yield from _memory(info)


def _durability(info: dict[str, Any]) -> Finding:
    if not info.get("aof_enabled"):
        return Finding(
            "redis",
            Level.ERROR,
            "it keeps no append-only file: jobs are lost when it restarts.",
            "start it with `appendonly yes`.",
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        return Finding(
            "redis",
            Level.ERROR,
            "its last write to the append-only file failed.",
            "see its log, and the disk that it writes to.",
        )
    return ok("redis", "is durable: it appends to a file.")


def _memory(info: dict[str, Any]) -> Iterator[Finding]:
    policy, limit, used = info.get("maxmemory_policy"), info["maxmemory"], info["used_memory"]
    if policy != "noeviction":
        yield Finding(
            "redis",
            Level.ERROR,
            f"it drops keys when it is full ({policy}): jobs would be lost.",
            "set `maxmemory-policy noeviction`.",
        )
    if limit and used > _FULL * limit:
        yield Finding(
            "redis",
            Level.ERROR,
            f"it uses {used:,} of {limit:,} bytes; when it is full, no job can be submitted.",
            "raise `maxmemory`, or lower RECLENS_REDIS__RESULT_EXPIRES_SECONDS.",
        )
    elif policy == "noeviction":
        yield ok(
            "redis", f"uses {used:,} bytes, {f'of {limit:,}' if limit else 'without a limit'}."
        )


def check_store(objects: ObjectStore) -> Iterator[Finding]:
    """Whether it answers, and what it and this machine say the time is."""
    started = time.monotonic()
    objects.list("releases/")
    yield ok("store", f"answers within {1000 * (time.monotonic() - started):.0f} ms.")
    yield _skew("store", (objects.now() - datetime.now(UTC)).total_seconds())


def check_conditional_put(objects: ObjectStore) -> Iterator[Finding]:
    """Whether of two who put one object the second is told so: all commits stand on it. It leaves
    one object of two bytes, always the same."""
    objects.put_if_absent(_PROBE, b"{}")
    if objects.put_if_absent(_PROBE, b"{}"):
        yield Finding(
            "store",
            Level.ERROR,
            "it replaces an object where it was asked to put it only if there is none: two jobs "
            "could commit one artifact.",
            "take a store that knows conditional puts (If-None-Match), or a newer version of it.",
        )
    else:
        yield ok("store", "keeps what is there where it is asked to (conditional puts).")


def check_dead_letters(objects: ObjectStore) -> Iterator[Finding]:
    """Jobs that killed their workers and were given up."""
    letters = objects.entries("dead-letters/")
    now = objects.now()
    fresh = [one for one in letters if (now - one.modified).total_seconds() < _MANY_DEAD_SECONDS]
    if fresh:
        newest = max(fresh, key=lambda one: one.modified)
        yield Finding(
            "dead letters",
            Level.WARNING,
            f"{len(fresh)} jobs of the last week killed their workers and were given up, "
            f"{newest.key} the last.",
            "see the worker's log at that time; most often it had too little memory. Give it more, "
            "and submit the job again.",
        )
    else:
        yield ok("dead letters", f"none in the last week, {len(letters)} in all.")


def check_disk(folder: Path) -> Iterator[Finding]:
    """Room where copies of artifacts are kept on this machine."""
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    said = f"{usage.free / (1 << 30):.1f} GiB are free at {folder}."
    if usage.free < _LOW_BYTES:
        yield Finding(
            "disk",
            Level.ERROR if usage.free < _NO_BYTES else Level.WARNING,
            said,
            "remove what is not needed there; RECLENS_CACHE_DIR may be elsewhere.",
        )
    else:
        yield ok("disk", said)


def _skew(part: str, seconds: float) -> Finding:
    if abs(seconds) > _SKEW_SECONDS:
        return Finding(
            part,
            Level.WARNING,
            f"its clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this "
            "machine's.",
            "let both follow a time server (NTP): stores refuse signatures of another time, and "
            "what is ordered later must be seen to be.",
        )
    return ok(part, "has this machine's time.")
