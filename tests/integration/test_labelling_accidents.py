"""Labelling by shards where workers are stopped and killed, and where objects change or vanish."""

from __future__ import annotations

import signal

import pytest
from labelling_stack import LabellingStack, assert_complete, shard, spec
from running_stack import wait_for

from reclens.contracts.specs.concepts import CONCEPTS_JOIN
from reclens.platform.jobs.app import make_app
from reclens.platform.jobs.view import JobState
from reclens.platform.store.artifacts import ArtifactStore


@pytest.fixture
def stack(labelling: LabellingStack) -> LabellingStack:
    return labelling


@pytest.fixture(autouse=True)
def bucket(artifact_store: ArtifactStore) -> ArtifactStore:
    return artifact_store


def test_a_worker_told_to_stop_leaves_between_two_latents_and_another_goes_on(
    stack: LabellingStack, bucket: ArtifactStore
):
    gate = stack.ask(9, 4, "hold")
    job_id = stack.submit(9)
    wait_for((stack.folder / "9-4.holding").exists, "the shard to run")
    leaving = stack.workers[-1]
    leaving.send_signal(signal.SIGTERM)
    wait_for(lambda: b"Warm shutdown" in (stack.folder / "worker.log").read_bytes(), "the signal")
    gate.unlink()
    assert leaving.wait(60) == 0
    assert not stack.joblog.show(job_id).state.final
    assert len(stack.noted(9, "latents")[1]) == 3  # the one that it was at, and no more
    stack.start_worker()
    assert stack.finish(job_id).state is JobState.SUCCEEDED
    assert stack.noted(9, "latents")[1] == ["4", "5", "6", "7"]
    assert_complete(bucket, 9)


def test_a_worker_killed_in_a_shard_is_followed_and_nothing_is_lost(
    stack: LabellingStack, bucket: ArtifactStore
):
    stack.ask(10, 8, "kill")
    job_id = stack.submit(10)
    assert stack.workers[-1].wait(60) == -signal.SIGKILL
    stack.start_worker()
    view = stack.finish(job_id)
    assert view.state is JobState.SUCCEEDED
    assert_complete(bucket, 10)
    # Saved latents were taken up by the one that followed.
    assert stack.noted(10, "latents")[2] == ["8", "9", "10", "11"]


def test_a_shard_that_always_kills_its_worker_ends_partial_with_a_dead_letter(
    stack: LabellingStack, bucket: ArtifactStore
):
    poison = stack.ask(11, 0, "poison")
    job_id = stack.submit(11)
    while not stack.joblog.show(job_id).state.final:
        wait_for(
            lambda: stack.workers[-1].poll() is not None or stack.joblog.show(job_id).state.final,
            "the worker to die or the job to end",
        )
        if stack.workers[-1].poll() is not None:
            stack.start_worker()
    view = stack.joblog.show(job_id)
    assert view.state is JobState.PARTIAL
    assert view.shards[0].failure is not None
    assert view.shards[0].failure.type == "Poisoned"
    assert stack.runs(11)[0] == 3
    assert bucket.objects.exists(f"dead-letters/{view.shards[0].job_id}.json")
    poison.unlink()
    assert stack.finish(stack.submit(11)).state is JobState.SUCCEEDED


def test_a_shard_that_is_gone_is_made_again_before_anything_is_joined(
    stack: LabellingStack, bucket: ArtifactStore
):
    gate = stack.ask(12, 12, "hold")
    job_id = stack.submit(12)
    made = f"{shard(12, 0).artifact_ref()}/manifest.json"
    wait_for(lambda: bucket.objects.exists(made), "the first shard to be made")
    bucket.objects.delete(made)
    gate.unlink()
    assert stack.finish(job_id).state is JobState.SUCCEEDED
    assert stack.runs(12) == [2, 1, 1, 1]
    assert_complete(bucket, 12)


def test_a_join_that_comes_too_early_sends_what_is_missing_and_commits_nothing(
    stack: LabellingStack, bucket: ArtifactStore
):
    gate = stack.ask(13, 4, "hold")
    job_id = stack.submit(13)
    wait_for((stack.folder / "13-4.holding").exists, "a shard to run")
    planned = [view.job_id for view in stack.joblog.show(job_id).shards]
    app = make_app(stack.redis)
    app.send_task(CONCEPTS_JOIN.task, kwargs={"spec": spec(13).canonical()}, task_id=job_id)
    wait_for(
        lambda: [view.job_id for view in stack.joblog.show(job_id).shards] != planned,
        "the join to have found a gap",
    )
    assert not stack.joblog.show(job_id).state.final
    assert not bucket.exists(spec(13).artifact_ref())
    gate.unlink()
    assert stack.finish(job_id).state is JobState.SUCCEEDED
    assert stack.runs(13) == [1, 1, 1, 1]
    assert_complete(bucket, 13)


def test_a_shard_whose_bytes_have_changed_is_not_joined(
    stack: LabellingStack, bucket: ArtifactStore
):
    gate = stack.ask(14, 12, "hold")
    job_id = stack.submit(14)
    ref = shard(14, 0).artifact_ref()
    wait_for(lambda: bucket.exists(ref), "the first shard to be made")
    key = bucket.manifest(ref).key("shard.parquet")
    sound = bucket.objects.get(key)
    bucket.objects.put(key, sound[:100] + bytes([sound[100] ^ 1]) + sound[101:])
    gate.unlink()
    view = stack.finish(job_id)
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "CorruptArtifact"
    assert ref in view.error.message
    assert not bucket.exists(spec(14).artifact_ref())


def test_a_store_that_loses_what_it_is_given_ends_partial_and_not_never(
    stack: LabellingStack, bucket: ArtifactStore
):
    assert stack.finish(stack.submit(16)).state is JobState.SUCCEEDED
    for name in bucket.objects.list(f"{spec(16).artifact_ref()}/"):
        bucket.objects.delete(name)
    (stack.folder / "16.losing").touch()
    view = stack.finish(stack.submit(16))
    assert view.state is JobState.PARTIAL
    assert view.error is not None
    assert "latents 0-3: Gone" in view.error.message


def test_a_worker_killed_once_it_has_sent_everything_does_no_harm(
    stack: LabellingStack, bucket: ArtifactStore
):
    (stack.folder / "17.kill-plan").touch()
    job_id = stack.submit(17)
    assert stack.workers[-1].wait(60) == -signal.SIGKILL
    stack.start_worker()
    view = stack.finish(job_id)
    assert view.state is JobState.SUCCEEDED
    assert_complete(bucket, 17)
