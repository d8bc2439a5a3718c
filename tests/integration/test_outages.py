"""Redis refuses to write, or the object store is away, while jobs run: they wait, and are made."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from counting_stack import CountingStack, expected_value
from cut_wire import CutWire
from redis import Redis
from running_stack import wait_for

from reclens.errors import StoreUnavailable
from reclens.platform.jobs.view import JobState, JobView
from reclens.platform.settings.models import RedisSettings, S3Settings
from reclens.platform.store.artifacts import ArtifactStore

_SECONDS = 4.0


def fill(redis: Redis, *, over: bool) -> None:
    redis.config_set("maxmemory", 0 if over else 1)


def ask_for_replicas(redis: Redis, *, over: bool) -> None:
    redis.config_set("min-replicas-to-write", 0 if over else 1)


def fail_over(redis: Redis, *, over: bool) -> None:
    if over:
        redis.replicaof("no", "one")
    else:
        redis.replicaof("127.0.0.1", 1)


def assert_made(view: JobView) -> None:
    assert view.state is JobState.SUCCEEDED, view.error
    assert view.result is not None
    assert view.result.metrics["value"] == expected_value()


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
        RECLENS_MAX_RETRIES="0",
        RECLENS_HEARTBEAT__LOST_SECONDS="3",
    )
    yield stack
    stack.stop()


@pytest.mark.parametrize("refuse", [fill, ask_for_replicas, fail_over])
def test_a_redis_that_refuses_to_write_costs_no_job(
    stack: CountingStack, client: Redis, refuse: Callable[..., None]
):
    worker = stack.start_worker()
    name = f"waits-{refuse.__name__.replace('_', '-')}-{stack.pool}"
    running, queued = stack.submit(name), [stack.submit(f"{name}-{i}") for i in range(2)]
    wait_for((stack.folder / f"{name}.waiting").exists, "the job to run")
    refuse(client, over=False)
    with pytest.raises(StoreUnavailable):
        stack.submit("refused")
    for one in (name, *(f"{name}-{i}" for i in range(2))):
        (stack.folder / f"{one}.go").touch()
    time.sleep(_SECONDS)
    assert not stack.joblog.show(running).state.final
    refuse(client, over=True)
    for job_id in (running, *queued):
        assert_made(stack.finish(job_id))
    assert worker.poll() is None


@pytest.fixture
def wire(s3: S3Settings) -> Iterator[tuple[CutWire, Callable[[str], None]]]:
    """A wire to the store, and what opens and cuts it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    wire = CutWire(s3.endpoint)

    def do(what: str) -> None:
        asyncio.run_coroutine_threadsafe(getattr(wire, what)(), loop).result(10)

    do("open")
    yield wire, do
    do("cut")
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_a_store_that_is_away_is_waited_for_without_using_up_retries(
    redis: RedisSettings,
    s3: S3Settings,
    wire: tuple[CutWire, Callable[[str], None]],
    artifact_store: ArtifactStore,
    tmp_path: Path,
):
    cut_wire, do = wire
    stack = CountingStack(
        redis.url.get_secret_value(),
        s3.model_copy(update={"endpoint": cut_wire.address}),
        tmp_path,
        RECLENS_MAX_RETRIES="0",
    )
    try:
        stack.start_worker()
        job_id = stack.submit("waits-store")
        wait_for((stack.folder / "waits-store.waiting").exists, "the job to run")
        do("cut")
        (stack.folder / "waits-store.go").touch()
        wait_for(lambda: stack.joblog.show(job_id).waiting is not None, "it to be told")
        first = stack.joblog.show(job_id)
        assert first.state is JobState.RETRYING
        assert first.waiting is not None
        assert first.waiting.reason == "UNAVAILABLE"
        assert "object store" in first.waiting.message
        time.sleep(3 * _SECONDS)
        assert not stack.joblog.show(job_id).state.final
        do("open")
        assert_made(stack.finish(job_id))
    finally:
        stack.stop()
