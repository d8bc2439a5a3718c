"""Jobs through real Celery workers, a real Redis and a real S3 server, killed where it hurts."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from running_stack import wait_for

from reclens.adapters.artifacts import ArtifactStore
from reclens.adapters.joblog import JobLog, JobState, JobView
from reclens.adapters.settings import RedisSettings, S3Settings
from reclens.contracts import DatasetSpec, TaskName
from reclens.errors import InvalidSpec, NotFound

STEPS = 200
TIMEOUT = 60


def expected_value() -> str:
    value = hashlib.sha256(b"start").digest()
    for _ in range(STEPS):
        value = hashlib.sha256(value).digest()
    return value.hex()


def spec(name: str) -> DatasetSpec:
    return DatasetSpec.parse({"name": name, "source": {"format": "table", "path": "unused"}})


class Stack:
    """Workers of the counting stage, and a client."""

    def __init__(self, redis_url: str, s3: S3Settings, folder: Path) -> None:
        self.folder = folder
        self.joblog = JobLog(RedisSettings.model_validate({"url": redis_url}))
        self.workers: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            "COUNTING_FOLDER": str(folder),
            "PYTHONPATH": str(Path(__file__).parent),
            "RECLENS_REDIS__URL": redis_url,
            "RECLENS_S3__ENDPOINT": s3.endpoint,
            "RECLENS_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
            "RECLENS_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
            "RECLENS_S3__BUCKET": s3.bucket,
            "RECLENS_CACHE_DIR": str(folder / "cache"),
            "RECLENS_CHECKPOINT_SECONDS": "0.001",
            "RECLENS_LEASE_SECONDS": "2",
        }

    def start_worker(self) -> subprocess.Popen[bytes]:
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, str(Path(__file__).parent / "counting_worker.py")],
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self.workers.append(worker)
        return worker

    def submit(self, name: str) -> str:
        return self.joblog.submit(TaskName.DATASET_IMPORT, spec(name).canonical())

    def finish(self, job_id: str) -> JobView:
        wait_for(lambda: self.joblog.show(job_id).state.final, f"job {job_id}")
        return self.joblog.show(job_id)

    def runs(self, name: str) -> int:
        path = self.folder / f"{name}.runs"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture(scope="module")
def stack(
    redis_url: str, s3: S3Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    stack = Stack(redis_url, s3, tmp_path_factory.mktemp("counting"))
    stack.start_worker()
    yield stack
    for worker in stack.workers:
        worker.send_signal(signal.SIGQUIT)
        worker.wait(30)


@pytest.fixture(autouse=True)
def bucket(artifact_store: ArtifactStore) -> ArtifactStore:
    return artifact_store


def test_a_job_makes_its_artifact_and_the_same_job_finds_it(stack: Stack, bucket: ArtifactStore):
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


def test_a_killed_worker_process_costs_nothing_but_time(stack: Stack):
    view = stack.finish(stack.submit("killed-once"))
    assert view.result is not None
    assert view.result.metrics["value"] == expected_value()
    resumed_at = int((stack.folder / "killed-once.resumed").read_text())
    assert 0 < resumed_at < 120


def test_a_job_that_always_kills_its_worker_becomes_a_dead_letter(
    stack: Stack, bucket: ArtifactStore
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


def test_an_error_is_readable_and_leaves_nothing_behind(stack: Stack, bucket: ArtifactStore):
    view = stack.finish(stack.submit("fails"))
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "InvalidInput"
    assert view.error.message == "rows[2]: the third row is odd. Remedy: make it even."
    assert "counting_worker.py" in view.error.traceback
    assert bucket.objects.list(f"{spec('fails').artifact_ref()}/") == []
    assert stack.runs("fails") == 1


def test_a_fault_that_can_pass_is_tried_again(stack: Stack):
    view = stack.finish(stack.submit("flaky"))
    assert view.state is JobState.SUCCEEDED
    assert stack.runs("flaky") == 2


def test_two_equal_jobs_at_once_run_once(stack: Stack):
    first = stack.submit("waits-twin")
    wait_for((stack.folder / "waits-twin.waiting").exists, "the first twin to run")
    second = stack.submit("waits-twin")
    wait_for(lambda: stack.joblog.show(second).started_at is not None, "the second to be taken")
    (stack.folder / "waits-twin.go").touch()
    results = [stack.finish(job_id).result for job_id in (first, second)]
    assert [result.reused for result in results if result] == [False, True]
    assert stack.runs("waits-twin") == 1


def test_cancelling_stops_a_running_job_at_a_safe_point(stack: Stack, bucket: ArtifactStore):
    job_id = stack.submit("endless-cancel")
    wait_for((stack.folder / "endless-cancel.running").exists, "the job to run")
    stack.joblog.cancel(job_id)
    view = stack.finish(job_id)
    assert view.state is JobState.CANCELLED
    assert not bucket.exists(spec("endless-cancel").artifact_ref())
    assert bucket.objects.list(f"checkpoints/{spec('endless-cancel').artifact_ref()}/")


def test_a_worker_told_to_stop_checkpoints_and_another_goes_on(stack: Stack):
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


def test_a_checkpoint_that_cannot_be_taken_up_is_dropped(stack: Stack):
    view = stack.finish(stack.submit("stale"))
    assert (stack.folder / "stale.refused").exists()
    assert not (stack.folder / "stale.resumed").exists()
    assert view.result is not None
    assert view.result.metrics["value"] == expected_value()


def test_a_broken_specification_fails_with_its_field(stack: Stack):
    job_id = stack.joblog.submit(TaskName.DATASET_IMPORT, {"nmae": "ml-100k"})
    view = stack.finish(job_id)
    assert view.error is not None
    assert view.error.type == "InvalidSpec"
    assert view.error.message.startswith("nmae:")


def test_a_job_sent_with_plain_celery_is_listed(stack: Stack, redis_url: str):
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


def test_a_record_that_has_expired_is_left_out_of_the_list(stack: Stack, redis_url: str):
    expired, kept = stack.submit("plain"), stack.submit("plain")
    stack.finish(expired)
    stack.finish(kept)
    Redis.from_url(redis_url).delete(f"reclens:job:{expired}")
    listed = [view.id for view in stack.joblog.list()]
    assert kept in listed
    assert expired not in listed


def test_an_unknown_job_is_not_found(stack: Stack):
    with pytest.raises(NotFound, match="jobs list"):
        stack.joblog.show("no-such-job")


def test_a_specification_too_large_for_a_message_is_refused(stack: Stack):
    with pytest.raises(InvalidSpec, match="16384"):
        stack.joblog.submit(TaskName.DATASET_IMPORT, {"name": "x" * 20_000})
