"""What a deployment needs once: servers that answer, the bucket, a pipeline that makes a release.

All of it may be run any number of times, also twice at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from redis import Redis
from redis.exceptions import AuthenticationError, LockError, NoPermissionError, RedisError

from reclens.contracts import PipelineSpec
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.errors import InvalidInput, NotFound, StoreRefused, Unavailable
from reclens.ops.deployment.minio_users import administrator, keys_of, make_users
from reclens.platform.jobs.app import connect
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobState, JobView
from reclens.platform.polling import poll_until
from reclens.platform.settings.models import ClientSettings, RedisSettings, S3Settings
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.objects import S3Store

Say = Callable[[str], None]

PIPELINE = Path(__file__).with_name("pipeline.yaml")
"""The pipeline that is submitted where no other is named."""

_POLL_SECONDS = 0.5
# A store that has just started may not know its users yet.
_REFUSALS_SECONDS = 15.0
_LOCK_SECONDS = 60.0
_UPLOAD_DAYS = 7
_JOBS = 500


class Existing(StrEnum):
    """What there was when a pipeline was to be submitted."""

    NOTHING = "nothing"
    """Neither the release nor a job for it that is under way: one was submitted."""
    RELEASE = "release"
    """The release; nothing was submitted."""
    JOB = "job"
    """A job for it that waits or runs; nothing was submitted."""
    CANCELLED = "cancelled"
    """The last job for it was cancelled by somebody; nothing was submitted."""


class Submission(NamedTuple):
    """What became of the pipeline."""

    found: Existing
    """Why it was submitted, or was not."""
    job_id: str | None
    """The job that was submitted, or found."""
    before: JobView | None
    """The last job for the release before, where one had failed."""


# --- servers -------------------------------------------------------------------------------------


def await_redis(settings: RedisSettings, seconds: float, say: Say) -> None:
    """Wait until Redis lets this user in.

    Raises:
        Unavailable: it does not answer in time.
        InvalidInput: it does not know this user, or the password is another.
    """
    client = connect(settings)

    def answers() -> None:
        try:
            client.ping()
        except (AuthenticationError, NoPermissionError) as error:
            raise InvalidInput(
                f"Redis refuses this user ({error}).",
                field="RECLENS_REDIS__URL",
                remedy="restart Redis, so that it reads the users.acl that belongs to it.",
            ) from error
        except (RedisError, OSError) as error:
            raise Unavailable(
                f"Redis does not answer ({error}).",
                field="RECLENS_REDIS__URL",
                remedy="see whether it runs, and its log.",
            ) from error

    _wait(answers, "Redis", seconds, say)


def await_bucket(
    settings: S3Settings, seconds: float, say: Say, *, minio: Path | None = None
) -> None:
    """Wait until the store answers with what it holds, and make the bucket where it is missing.

    Args:
        settings: of the store.
        seconds: to wait at most.
        say: called with a line when there is something to wait for.
        minio: where the store is MinIO, ``s3/`` of the credentials: its users are made first.

    Raises:
        Unavailable: it does not answer in time.
        StoreRefused: it does not know these keys, or they have no right to make the bucket.
        MissingData: a file of the administrator is missing.
    """
    refused_until = time.monotonic() + min(seconds, _REFUSALS_SECONDS)

    def makes() -> None:
        try:
            if minio is not None:
                make_users(administrator(settings, minio), keys_of(minio), settings.bucket)
            store = S3Store(settings)
            store.ensure_bucket()
            # Where these keys may not, `reclens gc` does it.
            store.expire_uploads(_UPLOAD_DAYS)
            # One that has just started may name objects whose bytes it does not find yet.
            for key in store.list("releases/")[:1]:
                store.get(key)
        except StoreRefused as error:
            if time.monotonic() >= refused_until:
                raise
            raise Unavailable(error.message, field=error.field, remedy=error.remedy) from error

    _wait(makes, "the object store", seconds, say)


def _wait(attempt: Callable[[], None], what: str, seconds: float, say: Say) -> None:
    problems: list[Unavailable] = []

    def succeeded() -> bool:
        try:
            attempt()
        except Unavailable as error:
            if not problems:
                say(f"waiting for {what}: {error.message}")
            problems[:] = [error]
            return False
        return True

    if not poll_until(succeeded, seconds=seconds, every=_POLL_SECONDS):
        raise problems[0]


# --- the pipeline --------------------------------------------------------------------------------


def submit_once(settings: ClientSettings, spec: PipelineSpec, *, again: bool = False) -> Submission:
    """Submit a pipeline unless its release exists or is being made.

    One that has failed is submitted again: it finds what was made, and makes the rest. One that a
    person cancelled is not.

    Args:
        settings: of Redis and the store.
        spec: of the pipeline.
        again: submit whatever there is.

    Raises:
        Unavailable: Redis or the store does not answer.
    """
    log = JobLog(settings.redis)
    with _submission_lock(connect(settings.redis), spec.release):
        jobs = (job for job in log.list(_JOBS) if _makes_release(job, spec.release))
        last = next(jobs, None)
        found = Existing.NOTHING if again else _existing(settings, spec.release, last)
        if found is not Existing.NOTHING:
            return Submission(found, last.id if last else None, None)
        job_id = log.submit(PIPELINE_RUN.task, spec.canonical())
        return Submission(found, job_id, last if last and last.state.final else None)


def _existing(settings: ClientSettings, release: str, last: JobView | None) -> Existing:
    with suppress(NotFound):
        ArtifactStore.from_settings(settings).releases.head(release)
        return Existing.RELEASE
    if last is not None and last.state is JobState.CANCELLED:
        return Existing.CANCELLED
    return Existing.NOTHING if last is None or last.state.final else Existing.JOB


def _makes_release(job: JobView, release: str) -> bool:
    # What others have sent need not be a specification.
    named = job.spec.get("release") if isinstance(job.spec, dict) else None
    wanted = str(named or PipelineSpec.model_fields["release"].default)
    return job.task == PIPELINE_RUN.task and wanted == release


@contextmanager
def _submission_lock(client: Redis, release: str) -> Iterator[None]:
    """Whoever comes second waits, and then finds the job of the first."""
    lock = client.lock(
        f"reclens:init:{release}", timeout=_LOCK_SECONDS, blocking_timeout=_LOCK_SECONDS
    )
    try:
        held = lock.acquire()
    except (RedisError, OSError) as error:
        raise Unavailable(
            f"Redis does not answer ({error}).", field="RECLENS_REDIS__URL"
        ) from error
    if not held:
        raise Unavailable("another run has been submitting for a minute.", field="release")
    try:
        yield
    finally:
        # Where it cannot be released it expires by itself.
        with suppress(LockError, RedisError, OSError):
            lock.release()
