"""Stages that make their objects part by part: what is done is not done again, nothing is left."""

from __future__ import annotations

import hashlib
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import chain
from counting_stack import CountingStack, spec
from running_stack import wait_for

from reclens.contracts.specs.dataset import DATASET_IMPORT
from reclens.platform.jobs.app import make_app
from reclens.platform.jobs.runner import planned
from reclens.platform.jobs.view import JobState
from reclens.platform.settings.models import RedisSettings, S3Settings
from reclens.platform.store.artifacts import ArtifactStore

PARTS = 10
"""As in the worker."""


@pytest.fixture(scope="module")
def stack(
    redis_url: str, s3: S3Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CountingStack]:
    stack = CountingStack(
        redis_url,
        s3,
        tmp_path_factory.mktemp("parts"),
        worker=Path(__file__).with_name("parts_worker.py"),
    )
    stack.start_worker()
    yield stack
    stack.stop()


def is_whole(bucket: ArtifactStore, name: str) -> bool:
    """Whether the artifact has its objects with the right bytes, and nothing lies beside them."""
    ref = spec(name).artifact_ref()
    manifest = bucket.manifest(ref)
    right = {f"part-{i}": hashlib.sha256(bytes([i]) * 1000).hexdigest() for i in range(PARTS)}
    keys = {f"{ref}/manifest.json", *(manifest.key(one) for one in right)}
    for one in right:
        bucket.fetch(ref, one)
    return (
        {entry.name: entry.sha256 for entry in manifest.objects} == right
        and set(bucket.objects.list(f"{ref}/")) == keys
        and not bucket.objects.list(f"checkpoints/{ref}/")
    )


def test_more_kills_than_are_allowed_are_none_with_progress(
    stack: CountingStack, artifact_store: ArtifactStore
):
    view = stack.finish(stack.submit("killed"))
    assert view.state is JobState.SUCCEEDED
    assert stack.runs("killed") == 5
    assert is_whole(artifact_store, "killed")
    # Parts lie where the attempts put them that made them.
    manifest = artifact_store.manifest(spec("killed").artifact_ref())
    assert len({entry.attempt for entry in manifest.objects}) == 5


def test_a_dead_letter_leaves_no_objects(stack: CountingStack, artifact_store: ArtifactStore):
    view = stack.finish(stack.submit("poison"))
    assert view.error is not None
    assert view.error.type == "Poisoned"
    assert artifact_store.objects.list(f"{spec('poison').artifact_ref()}/") == []


def test_a_full_disk_is_waited_for(stack: CountingStack, artifact_store: ArtifactStore):
    marker = stack.folder / "full.full"
    marker.touch()
    job_id = stack.submit("full")
    wait_for(lambda: stack.joblog.show(job_id).waiting is not None, "the job to wait")
    waiting = stack.joblog.show(job_id).waiting
    assert waiting is not None
    assert waiting.reason == "DISK_FULL"
    assert "/tmp/scratch/part" in waiting.message
    marker.unlink()
    assert stack.finish(job_id).state is JobState.SUCCEEDED
    assert is_whole(artifact_store, "full")


def test_orderly_stops_keep_what_is_done_and_are_not_counted(
    stack: CountingStack, artifact_store: ArtifactStore
):
    job_id = stack.submit("stopped")
    for stop in range(4):
        wait_for((stack.folder / f"stopped.at-{stop}").exists, f"part {stop} to begin")
        worker = stack.workers[-1]
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
        stack.start_worker()
    (stack.folder / "stopped.go").touch()
    assert stack.finish(job_id).state is JobState.SUCCEEDED
    assert stack.runs("stopped") == 5
    assert is_whole(artifact_store, "stopped")


@pytest.mark.usefixtures("artifact_store")
@pytest.mark.parametrize("right", [False, True])
def test_a_worker_that_would_make_something_else_than_was_planned_says_so(
    stack: CountingStack, redis_url: str, right: bool
):
    app = make_app(RedisSettings.model_validate({"url": redis_url}))
    made = spec(f"planned-{right}".lower())
    ref = made.artifact_ref() if right else f"datasets/{'0' * 16}"
    signature = app.signature(
        DATASET_IMPORT.task, kwargs={"spec": made.canonical()}, immutable=True
    )
    # As a stage of a pipeline, behind another one.
    first = app.signature(
        DATASET_IMPORT.task, kwargs={"spec": spec("planned").canonical()}, immutable=True
    )
    job_id = str(uuid.uuid4())
    signature = planned(signature.set(task_id=job_id), ref)
    chain(first, signature).apply_async()
    wait_for(lambda: stack.runs("planned") > 0, "the first stage")
    wait_for(lambda: app.AsyncResult(job_id).ready(), "the second stage")
    view = stack.joblog.show(job_id)
    if right:
        assert view.state is JobState.SUCCEEDED
        return
    assert view.error is not None
    assert view.error.type == "VersionMismatch"
    assert ref in view.error.message
    assert "upgrade all workers" in view.error.message
