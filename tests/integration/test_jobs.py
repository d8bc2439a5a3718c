"""Jobs through real Celery workers, a real Redis and a real S3 server, killed where it hurts."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from counting_stack import TIMEOUT, CountingStack, expected_value, spec
from redis import Redis
from running_stack import wait_for

from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.errors import InvalidSpec, NotFound
from reclens.platform.jobs.view import JobState
from reclens.platform.settings.models import S3Settings
from reclens.platform.store.artifacts import ArtifactStore


@pytest.fixture(scope="module")
def stack(
    redis_url: str, s3: S3Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CountingStack]:
    stack = CountingStack(redis_url, s3, tmp_path_factory.mktemp("counting"))
    stack.start_worker()
    yield stack
    for worker in stack.workers:
        worker.send_signal(signal.SIGQUIT)
        worker.wait(30)


@pytest.fixture(autouse=True)
def bucket(artifact_store: ArtifactStore) -> ArtifactStore:
    return artifact_store


def test_a_job_makes_its_artifact_and_the_same_job_finds_it(
    stack: CountingStack, bucket: ArtifactStore
):
    first = stack.finish(stack.submit("plain"))
    assert first.state is JobState.SUCCEEDED
    assert first.result is not None
    assert first.result.artifact == spec("plain").artifact_ref()
    assert first.result.metrics["value"] == expected_value()
    stored = bucket.fetch(first.result.artifact, "value").read_bytes()
    assert stored.hex() == expected_value()
    peak = bucket.manifest(first.result.artifact).peak_memory_bytes
    assert peak is not None
    assert 20e6 < peak < 2e9  # a Python with Celery and NumPy

    second = stack.finish(stack.submit("plain"))
    assert second.result is not None
    assert second.result.reused
    assert second.result.artifact == first.result.artifact
    assert stack.runs("plain") == 1


def test_a_killed_worker_process_costs_nothing_but_time(stack: CountingStack):
    view = stack.finish(stack.submit("killed-once"))
    assert view.result is not None
    assert view.result.metrics["value"] == expected_value()
    resumed_at = int((stack.folder / "killed-once.resumed").read_text())
    assert 0 < resumed_at < 120


def test_a_job_that_always_kills_its_worker_becomes_a_dead_letter(
    stack: CountingStack, bucket: ArtifactStore
):
    job_id = stack.submit("poison")
    view = stack.finish(job_id)
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "Poisoned"
    assert stack.runs("poison") == 3
    assert bucket.objects.exists(f"dead-letters/{job_id}.json")
    # The worker is none the worse for it.
    assert stack.finish(stack.submit("after-poison")).state is JobState.SUCCEEDED


def test_an_error_is_readable_and_leaves_nothing_behind(
    stack: CountingStack, bucket: ArtifactStore
):
    view = stack.finish(stack.submit("fails"))
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "InvalidInput"
    assert view.error.message == "rows[2]: the third row is odd. Remedy: make it even."
    assert "counting_worker.py" in view.error.traceback
    assert bucket.objects.list(f"{spec('fails').artifact_ref()}/") == []
    assert stack.runs("fails") == 1


def test_a_fault_that_can_pass_is_tried_again(stack: CountingStack):
    view = stack.finish(stack.submit("flaky"))
    assert view.state is JobState.SUCCEEDED
    assert stack.runs("flaky") == 2


def test_two_equal_jobs_at_once_run_once(stack: CountingStack):
    first = stack.submit("waits-twin")
    wait_for((stack.folder / "waits-twin.waiting").exists, "the first twin to run")
    second = stack.submit("waits-twin")
    wait_for(lambda: stack.joblog.show(second).started_at is not None, "the second to be taken")
    (stack.folder / "waits-twin.go").touch()
    results = [stack.finish(job_id).result for job_id in (first, second)]
    assert [result.reused for result in results if result] == [False, True]
    assert stack.runs("waits-twin") == 1


def test_cancelling_stops_a_running_job_at_a_safe_point(
    stack: CountingStack, bucket: ArtifactStore
):
    job_id = stack.submit("endless-cancel")
    wait_for((stack.folder / "endless-cancel.running").exists, "the job to run")
    stack.joblog.cancel(job_id)
    view = stack.finish(job_id)
    assert view.state is JobState.CANCELLED
    assert not bucket.exists(spec("endless-cancel").artifact_ref())
    assert bucket.objects.list(f"checkpoints/{spec('endless-cancel').artifact_ref()}/")


def test_a_worker_told_to_stop_checkpoints_and_another_goes_on(stack: CountingStack):
    name = "waits-shutdown"
    job_id = stack.submit(name)
    wait_for((stack.folder / f"{name}.waiting").exists, "the job to run")
    leaving = stack.workers[-1]
    leaving.send_signal(signal.SIGTERM)
    (stack.folder / f"{name}.go").touch()
    assert leaving.wait(TIMEOUT) == 0
    assert not stack.joblog.show(job_id).state.final
    stack.start_worker()
    view = stack.finish(job_id)
    assert view.result is not None
    assert view.result.metrics["value"] == expected_value()
    assert int((stack.folder / f"{name}.resumed").read_text()) >= 50


def test_a_checkpoint_that_cannot_be_taken_up_is_dropped(stack: CountingStack):
    view = stack.finish(stack.submit("stale"))
    assert (stack.folder / "stale.refused").exists()
    assert not (stack.folder / "stale.resumed").exists()
    assert view.result is not None
    assert view.result.metrics["value"] == expected_value()


def test_a_broken_specification_fails_with_its_field(stack: CountingStack):
    job_id = stack.joblog.submit(DATASET_IMPORT.task, {"nmae": "ml-100k"})
    view = stack.finish(job_id)
    assert view.error is not None
    assert view.error.type == "InvalidSpec"
    assert view.error.message.startswith("nmae:")


def test_a_job_sent_with_plain_celery_is_listed(stack: CountingStack, redis_url: str):
    from celery import Celery

    app = Celery(broker=redis_url, backend=redis_url)
    app.conf.task_serializer = "json"
    sent = app.send_task(
        "reclens.dataset.import.v1",
        kwargs={"spec": spec("plain-celery").canonical()},
        queue="capture",
    )
    assert sent.get(timeout=TIMEOUT)["artifact"] == spec("plain-celery").artifact_ref()
    assert sent.id in [view.id for view in stack.joblog.list()]


def test_a_record_that_has_expired_is_left_out_of_the_list(stack: CountingStack, redis_url: str):
    expired, kept = stack.submit("plain"), stack.submit("plain")
    stack.finish(expired)
    stack.finish(kept)
    Redis.from_url(redis_url).delete(f"reclens:job:{expired}")
    listed = [view.id for view in stack.joblog.list()]
    assert kept in listed
    assert expired not in listed


def test_an_unknown_job_is_not_found(stack: CountingStack):
    with pytest.raises(NotFound, match="jobs list"):
        stack.joblog.show("no-such-job")


def test_a_specification_too_large_for_a_message_is_refused(stack: CountingStack):
    with pytest.raises(InvalidSpec, match="16384"):
        stack.joblog.submit(DATASET_IMPORT.task, {"name": "x" * 20_000})
