"""Workers that die, and workers that stop consuming: others go on with their jobs at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_stack import TIMEOUT, CountingStack, children, expected_value
from redis import Redis
from running_stack import wait_for

from reclens.platform.celery.watchdog import EXIT_CODE
from reclens.platform.jobs.app import make_app
from reclens.platform.jobs.view import JobState
from reclens.platform.settings.models import RedisSettings, S3Settings
from reclens.platform.store.artifacts import ArtifactStore


@pytest.fixture
def stack(
    redis: RedisSettings, s3: S3Settings, artifact_store: ArtifactStore, tmp_path: Path
) -> Iterator[CountingStack]:
    stack = CountingStack(
        redis.url.get_secret_value(),
        s3,
        tmp_path,
        # Silent for so long, a worker counts as dead.
        RECLENS_REDIS__VISIBILITY_TIMEOUT_SECONDS="3",
        RECLENS_HEARTBEAT__STALL_SECONDS="1",
        RECLENS_HEARTBEAT__GRACE_SECONDS="20",
    )
    yield stack
    stack.stop()


def assert_resumed(stack: CountingStack, job_id: str, name: str) -> None:
    view = stack.finish(job_id)
    assert view.state is JobState.SUCCEEDED
    assert view.result is not None
    assert view.result.metrics["value"] == expected_value()
    assert int((stack.folder / f"{name}.resumed").read_text().splitlines()[0]) > 0


def test_the_next_worker_takes_over_what_a_killed_one_had_in_hand(
    stack: CountingStack, redis: RedisSettings
):
    killed = stack.start_worker()
    job_id = stack.begin("waits-killed-whole")
    for pid in (*children(killed.pid), killed.pid):
        os.kill(pid, signal.SIGKILL)
    killed.wait(TIMEOUT)
    (stack.folder / "waits-killed-whole.go").touch()
    stack.start_worker()
    assert_resumed(stack, job_id, "waits-killed-whole")
    # Nothing is left of the dead.
    client = Redis.from_url(redis.url.get_secret_value())
    (alive,) = client.hgetall("reclens:workers")
    assert alive.decode() == stack.heartbeat()["worker"]
    wait_for(lambda: not list(client.scan_iter("reclens:unacked:*")), "the acknowledgement")


def test_a_worker_that_was_only_frozen_does_no_harm(stack: CountingStack, redis: RedisSettings):
    frozen = stack.start_worker()
    job_id = stack.begin("waits-frozen")
    pids = (frozen.pid, *children(frozen.pid))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    (stack.folder / "waits-frozen.go").touch()
    stack.start_worker()
    assert_resumed(stack, job_id, "waits-frozen")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    # Both go on: a job each, for either may take both.
    for name in ("after-frozen-1", "after-frozen-2"):
        assert stack.finish(stack.submit(name)).state is JobState.SUCCEEDED
    client = Redis.from_url(redis.url.get_secret_value())
    wait_for(lambda: client.hlen("reclens:workers") == 2, "the frozen one to answer again")
    wait_for(lambda: not list(client.scan_iter("reclens:unacked:*")), "all to be acknowledged")
    assert client.llen("capture") == 0
    assert stack.joblog.show(job_id).state is JobState.SUCCEEDED


def test_a_worker_that_no_longer_consumes_saves_its_job_and_ends_itself(
    stack: CountingStack, redis: RedisSettings
):
    worker = stack.start_worker()
    job_id = stack.begin("waits-stalled")
    # One of its two slots is free, and it no longer asks for messages.
    make_app(redis).control.cancel_consumer("capture")
    log = stack.folder / "worker.log"
    wait_for(lambda: b"worker.ends_itself" in log.read_bytes(), "the worker to notice")
    (stack.folder / "waits-stalled.go").touch()
    assert worker.wait(TIMEOUT) == EXIT_CODE
    assert not stack.joblog.show(job_id).state.final
    stack.start_worker()
    assert_resumed(stack, job_id, "waits-stalled")


def test_a_worker_whose_loop_is_stuck_ends_by_force(
    redis: RedisSettings, s3: S3Settings, artifact_store: ArtifactStore, tmp_path: Path
):
    stack = CountingStack(
        redis.url.get_secret_value(),
        s3,
        tmp_path,
        RECLENS_REDIS__VISIBILITY_TIMEOUT_SECONDS="3",
        RECLENS_HEARTBEAT__STALL_SECONDS="1",
        RECLENS_HEARTBEAT__GRACE_SECONDS="0.5",
    )
    try:
        worker = stack.start_worker()
        job_id = stack.begin("waits-stuck")
        pids = children(worker.pid)
        (stack.folder / "stick").touch()
        assert worker.wait(TIMEOUT) == EXIT_CODE
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "its children")
        (stack.folder / "stick").unlink()
        (stack.folder / "waits-stuck.go").touch()
        stack.start_worker()
        assert_resumed(stack, job_id, "waits-stuck")
    finally:
        stack.stop()
