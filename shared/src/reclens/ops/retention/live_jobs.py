"""Artifacts that jobs read or make: of those that wait or run, and of those that ended just now."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from redis import Redis

from reclens.contracts import JobSpec, PipelineSpec, job_kinds, split_ref
from reclens.errors import InvalidInput, NotFound
from reclens.platform.celery.reconciler import messages
from reclens.platform.jobs.app import connect
from reclens.platform.jobs.log import JobLog, redis_errors
from reclens.platform.settings.models import RedisSettings


class LiveJobs:
    """Asks Redis which artifacts jobs have to do with; each look is a fresh one.

    A job that had ended by the first look is not looked at again. One that ends later still
    counts, as what it made may be younger than what was listed.

    Raises (all methods):
        Unavailable: Redis does not answer.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._log = JobLog(settings)
        self._redis: Redis = connect(settings)
        self._over: set[str] = set()
        self._looked = False

    def refs(self) -> set[str]:
        """Every artifact that a job reads or makes."""
        found: set[str] = set()
        for job_id in self._log.ids():
            if job_id in self._over:
                continue
            try:
                view = self._log.show(job_id)
            except NotFound:
                continue  # its record has expired
            if view.state.final and not self._looked:
                self._over.add(job_id)
                continue
            found |= refs_of(view.task, view.spec)
            parts = [*view.stages, *view.shards, *(s for one in view.stages for s in one.shards)]
            found |= set(_named([part.artifact for part in parts]))
        with redis_errors():
            for message in messages(self._redis):
                found |= _refs_of_message(message)
        self._looked = True
        return found

    def leased(self, ref: str) -> bool:
        """Whether a worker is at it just now."""
        with redis_errors():
            return bool(self._redis.exists(f"reclens:lease:{ref}"))


def refs_of(task: str, spec: Any) -> set[str]:
    """Every artifact that the job reads, and those that it makes."""
    found = set(_named(spec))
    kind = job_kinds().get(task)
    # What others have sent need not be a specification.
    with suppress(InvalidInput):
        parsed = kind.spec.parse(spec) if kind else None
        if isinstance(parsed, JobSpec):
            found.add(parsed.artifact_ref())
        if isinstance(parsed, PipelineSpec):
            found |= set(_named([[stage.artifact, stage.spec] for stage in parsed.plan()]))
    return found


def _refs_of_message(message: Any) -> set[str]:
    with suppress(TypeError, ValueError, LookupError, binascii.Error):
        task = message["headers"]["task"]
        _, kwargs, embed = json.loads(base64.b64decode(message["body"]))
        found = refs_of(task, kwargs.get("spec"))
        for one in _signatures(embed):
            found |= refs_of(str(one["task"]), one["kwargs"].get("spec"))
        return found
    return set()


def _signatures(value: Any) -> Iterator[dict[str, Any]]:
    """Tasks that are to follow, wherever they stand."""
    if isinstance(value, dict):
        if isinstance(value.get("kwargs"), dict) and "task" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _signatures(one)


def _named(value: Any) -> Iterator[str]:
    """References in a JSON value, wherever they stand."""
    if isinstance(value, str):
        with suppress(InvalidInput):
            split_ref(value)
            yield value
    elif isinstance(value, dict):
        yield from _named(list(value.values()))
    elif isinstance(value, list):
        for one in value:
            yield from _named(one)
