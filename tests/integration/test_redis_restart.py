"""A real Redis is restarted under idle and busy workers: they live on, and no job is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_stack import CountingStack, expected_value
from redis import Redis
from restarted_redis import RestartedRedis
from running_stack import wait_for

from reclens.platform.celery.health_probe import problem
from reclens.platform.jobs.view import JobState
from reclens.platform.settings.models import S3Settings
from reclens.platform.store.artifacts import ArtifactStore


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RestartedRedis]:
    redis = RestartedRedis(tmp_path / "redis")
    yield redis
    redis.stop()


@pytest.fixture(params=["prefork", "threads"])
def stack(
    request: pytest.FixtureRequest,
    redis: RestartedRedis,
    s3: S3Settings,
    artifact_store: ArtifactStore,
    tmp_path: Path,
) -> Iterator[CountingStack]:
    stack = CountingStack(
        redis.url,
        s3,
        tmp_path,
        COUNTING_POOL=request.param,
        # Heartbeats twice a second. Stalls for longer than this outage would end the worker.
        RECLENS_REDIS__VISIBILITY_TIMEOUT_SECONDS="3",
        RECLENS_HEARTBEAT__STALL_SECONDS="2",
    )
    stack.start_worker()
    yield stack
    stack.stop()


def told(stack: CountingStack, health: str, *, after: float = 0.0) -> bool:
    beat = stack.heartbeat()
    return beat.get("health") == health and beat["time"] > after


def test_workers_consume_again_and_the_job_at_work_is_finished(
    stack: CountingStack, redis: RestartedRedis, request: pytest.FixtureRequest
):
    pool = request.node.callspec.params["stack"]
    (worker,) = stack.workers
    file = str(stack.folder / "heartbeat")
    assert stack.finish(stack.submit(f"idle-before-{pool}")).state is JobState.SUCCEEDED
    wait_for(lambda: told(stack, "consuming"), "the heartbeat")

    # Idle.
    redis.stop()
    wait_for(lambda: told(stack, "reconnecting"), "the worker to notice")
    now = stack.heartbeat()["time"]
    assert problem(file, 30, alive=True, now=now) is None
    assert "Redis" in str(problem(file, 30, alive=False, now=now))
    redis.start()
    assert stack.finish(stack.submit(f"idle-after-{pool}")).state is JobState.SUCCEEDED
    wait_for(lambda: told(stack, "consuming", after=now), "the heartbeat to come back")

    # Busy; and the job comes to its end, where it has to tell somebody, while Redis is away.
    busy = stack.submit(f"waits-busy-{pool}")
    wait_for((stack.folder / f"waits-busy-{pool}.waiting").exists, "the job to run")
    redis.stop()
    (stack.folder / f"waits-busy-{pool}.go").touch()
    wait_for(lambda: told(stack, "reconnecting"), "the worker to notice")
    now = stack.heartbeat()["time"]
    redis.start()
    view = stack.finish(busy)
    assert view.state is JobState.SUCCEEDED
    assert view.result is not None
    assert view.result.metrics["value"] == expected_value()
    assert stack.finish(stack.submit(f"busy-after-{pool}")).state is JobState.SUCCEEDED
    wait_for(lambda: told(stack, "consuming", after=now), "the heartbeat to come back")

    assert worker.poll() is None
    client = Redis.from_url(redis.url)
    in_hand = f"reclens:unacked:{stack.heartbeat()['worker']}"
    wait_for(lambda: not client.exists(in_hand), "every message to be acknowledged")
    assert client.llen("capture") == 0
