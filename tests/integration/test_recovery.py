"""What is killed or short of memory costs seconds, at the settings in force by default."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_stack import TIMEOUT, CountingStack, children, expected_value, spec
from running_stack import wait_for

from reclens.platform.celery.watchdog import EXIT_CODE
from reclens.platform.jobs.view import JobState, JobView
from reclens.platform.settings.models import RedisSettings, S3Settings, WorkerSettings
from reclens.platform.store.artifacts import ArtifactStore

RECOVERY_SECONDS = 15.0
_LEASE = str(WorkerSettings.model_fields["lease_seconds"].default)


@pytest.fixture(params=["prefork", "threads"])
def stack(
    request: pytest.FixtureRequest,
    redis: RedisSettings,
    s3: S3Settings,
    artifact_store: ArtifactStore,
    tmp_path: Path,
) -> Iterator[CountingStack]:
    stack = CountingStack(
        redis.url.get_secret_value(),
        s3,
        tmp_path,
        COUNTING_POOL=request.param,
        RECLENS_LEASE_SECONDS=_LEASE,
    )
    yield stack
    stack.stop()


def ends(stack: CountingStack, job_id: str, *, restart: bool = False) -> list[JobView]:
    """Every view of the job until its end, with workers that ended started again."""
    views: list[JobView] = []
    deadline = time.monotonic() + 2 * TIMEOUT
    while not (views and views[-1].state.final):
        assert time.monotonic() < deadline, "the job does not end"
        if restart and stack.workers[-1].poll() is not None:
            stack.start_worker()
        view = stack.joblog.show(job_id)
        if not views or view.state is not views[-1].state:
            views.append(view)
        time.sleep(0.02)
    return views


def assert_made(view: JobView) -> None:
    assert view.state is JobState.SUCCEEDED
    assert view.result is not None
    assert view.result.metrics["value"] == expected_value()


@pytest.mark.parametrize("stack", ["prefork"], indirect=True)
def test_a_killed_pool_process_is_followed_at_once(stack: CountingStack):
    worker = stack.start_worker()
    job_id = stack.begin("waits-pool")
    before = children(worker.pid)
    (stack.folder / "waits-pool.go").touch()
    killed = time.monotonic()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: stack.joblog.show(job_id).state is JobState.RETRYING, "it to be told")
    assert_made(ends(stack, job_id)[-1])
    assert time.monotonic() - killed < RECOVERY_SECONDS


@pytest.mark.parametrize("standby", [False, True], ids=["alone", "beside another"])
def test_a_killed_worker_is_followed_within_seconds(stack: CountingStack, standby: bool):
    worker = stack.start_worker()
    name = f"waits-whole-{stack.pool}-{int(standby)}"
    job_id = stack.begin(name)
    if standby:
        before = stack.heartbeat().get("worker")
        stack.start_worker()
        wait_for(lambda: stack.heartbeat().get("worker") != before, "the other one")
    (stack.folder / f"{name}.go").touch()
    killed = time.monotonic()
    for pid in (worker.pid, *children(worker.pid)):
        os.kill(pid, signal.SIGKILL)
    worker.wait(TIMEOUT)
    if not standby:
        stack.start_worker()
    assert_made(ends(stack, job_id)[-1])
    assert time.monotonic() - killed < RECOVERY_SECONDS


def test_a_job_that_is_always_short_of_memory_becomes_a_dead_letter(
    stack: CountingStack, artifact_store: ArtifactStore
):
    stack.start_worker()
    name = f"memory-short-{stack.pool}"
    job_id = stack.submit(name)
    views = ends(stack, job_id, restart=True)
    assert not any(view.state.final for view in views[:-1])
    assert any(view.state is JobState.RETRYING for view in views)
    view = stack.joblog.show(job_id)
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "Poisoned"
    assert stack.runs(name) == 3
    assert artifact_store.objects.exists(f"dead-letters/{job_id}.json")
    assert artifact_store.objects.list(f"{spec(name).artifact_ref()}/") == []


@pytest.mark.parametrize("fault", ["memory-once", "threads-once"])
def test_a_process_short_of_memory_or_threads_ends_and_the_job_goes_on(
    stack: CountingStack, fault: str
):
    worker = stack.start_worker()
    name = f"{fault}-{stack.pool}"
    before = children(worker.pid)
    views = ends(stack, job_id := stack.submit(name), restart=True)
    assert not any(view.state.final for view in views[:-1])
    assert_made(stack.joblog.show(job_id))
    assert stack.runs(name) == 2
    if stack.pool == "threads":
        # Something starts it again: all its threads are short of the same.
        assert worker.wait(TIMEOUT) == EXIT_CODE
    else:
        assert worker.poll() is None
        assert set(children(worker.pid)) != set(before)


@pytest.mark.parametrize("stack", ["prefork"], indirect=True)
def test_only_deaths_without_progress_count(stack: CountingStack):
    stack.start_worker()
    # Each of five deaths comes a little later than the one before, and nothing is saved.
    assert_made(ends(stack, stack.submit("crawls"))[-1])
    assert stack.runs("crawls") == 6


@pytest.mark.parametrize("stack", ["prefork"], indirect=True)
def test_whatever_the_job_advances_renews_its_retries(stack: CountingStack):
    stack.start_worker()
    assert_made(ends(stack, stack.submit("advances"))[-1])
    assert stack.runs("advances") == 10
    assert stack.runs("advances") > WorkerSettings.model_fields["max_retries"].default + 1


def test_a_deadlock_ends_its_process_and_the_job_goes_on(
    redis: RedisSettings, s3: S3Settings, artifact_store: ArtifactStore, tmp_path: Path
):
    for pool in ("prefork", "threads"):
        stack = CountingStack(
            redis.url.get_secret_value(),
            s3,
            tmp_path,
            COUNTING_POOL=pool,
            RECLENS_PROGRESS_SECONDS="2",
            RECLENS_HEARTBEAT__GRACE_SECONDS="1",
        )
        try:
            stack.start_worker()
            assert_made(ends(stack, stack.submit(f"hangs-{pool}"), restart=True)[-1])
            assert stack.runs(f"hangs-{pool}") == 2
        finally:
            stack.stop()
