"""Jobs whose messages Redis has lost: they are sent again, and end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_stack import CountingStack, expected_value, spec
from redis import Redis
from running_stack import wait_for

from reclens.contracts import PipelineSpec
from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.platform.celery.reconciler import MAX_RESENT, Reconciler, messages
from reclens.platform.jobs.app import make_app
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobState
from reclens.platform.settings.models import RedisSettings, S3Settings
from reclens.platform.store.artifacts import ArtifactStore

_LOST_SECONDS = 1.0


@pytest.fixture
def stack(
    redis: RedisSettings, s3: S3Settings, artifact_store: ArtifactStore, tmp_path: Path
) -> Iterator[CountingStack]:
    stack = CountingStack(
        redis.url.get_secret_value(),
        s3,
        tmp_path,
        RECLENS_HEARTBEAT__LOST_SECONDS=str(_LOST_SECONDS),
    )
    yield stack
    stack.stop()


@pytest.fixture
def reconciler(redis: RedisSettings, client: Redis) -> Reconciler:
    app = make_app(redis)
    return Reconciler(app, client, JobLog(redis, app), 60)


def test_a_job_whose_message_is_gone_is_sent_again_and_made(stack: CountingStack, client: Redis):
    job_id = stack.submit("lost")
    client.delete("capture")
    stack.start_worker()
    stack.start_worker()
    view = stack.finish(job_id)
    assert view.state is JobState.SUCCEEDED
    assert view.result is not None
    assert view.result.metrics["value"] == expected_value()
    assert stack.runs("lost") == 1


def test_a_job_at_work_or_in_a_queue_is_left_alone(stack: CountingStack):
    stack.start_worker()
    running = [stack.submit(f"waits-{i}") for i in range(2)]
    for i in range(2):
        wait_for((stack.folder / f"waits-{i}.waiting").exists, "both slots to be taken")
    queued = [stack.submit(f"queued-{i}") for i in range(3)]
    time.sleep(5 * _LOST_SECONDS)
    for i in range(2):
        (stack.folder / f"waits-{i}.go").touch()
    for job_id in (*running, *queued):
        assert stack.finish(job_id).state is JobState.SUCCEEDED
    assert [stack.runs(f"waits-{i}") for i in range(2)] == [1, 1]
    assert b"job.sent_again" not in (stack.folder / "worker.log").read_bytes()


def test_what_is_lost_again_and_again_ends(
    redis: RedisSettings, client: Redis, reconciler: Reconciler
):
    joblog = JobLog(redis)
    job_id = joblog.submit(DATASET_IMPORT.task, spec("lost-for-good").canonical())
    for round_ in range(MAX_RESENT + 1):
        assert joblog.show(job_id).state is JobState.QUEUED
        client.delete("capture", f"reclens:waiting:{job_id}:lost")
        reconciler.look(100.0 * round_)
        assert client.llen("capture") == 0
        reconciler.look(100.0 * round_ + 60)
        assert client.llen("capture") == (round_ < MAX_RESENT)
    view = joblog.show(job_id)
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert "lost" in view.error.message


def test_of_several_workers_one_sends_it(
    redis: RedisSettings, client: Redis, reconciler: Reconciler
):
    JobLog(redis).submit(DATASET_IMPORT.task, spec("lost-once").canonical())
    client.delete("capture")
    app = make_app(redis)
    other = Reconciler(app, client, JobLog(redis, app), 60)
    for now in (0, 60):
        # Neither sees what the other has just sent: both have looked before.
        jobs = JobLog(redis).open_jobs()
        assert len(jobs) == 1
        reconciler.look(now)
        client.rename("capture", "aside") if client.exists("capture") else None
        other.look(now)
    assert client.llen("aside") == 1
    assert client.llen("capture") == 0


def test_a_pipeline_goes_on_while_one_of_its_stages_has_a_message(
    redis: RedisSettings, client: Redis, reconciler: Reconciler
):
    joblog = JobLog(redis)
    pipeline = PipelineSpec.parse({"release": "x", "dataset": spec("staged").canonical()})
    job_id = joblog.submit("reclens.pipeline.run.v1", pipeline.canonical())
    client.delete("pipeline")
    joblog.planned(job_id, [("a-stage", stage) for stage in pipeline.plan()[:1]])
    make_app(redis).send_task(
        DATASET_IMPORT.task, kwargs={"spec": spec("staged").canonical()}, task_id="a-stage"
    )
    for now in (0, 60, 120):
        reconciler.look(now)
    assert client.llen("pipeline") == 0
    client.delete("capture")
    for now in (180, 240):
        reconciler.look(now)
    assert client.llen("pipeline") == 1


def test_what_is_no_message_hides_none_that_is(client: Redis, redis: RedisSettings):
    raw = Redis.from_url(redis.url.get_secret_value())
    wanted = [{"headers": {"id": str(number)}} for number in range(40)]
    for number, message in enumerate(wanted):
        raw.lpush("capture", json.dumps(message))
        raw.lpush("capture", b"\xff\xfe of no text", b"{", b"[" * 100_000, str(number))
    found = [one for one in messages(client) if isinstance(one, dict)]
    assert found == wanted[::-1]
