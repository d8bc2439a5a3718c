"""Labelling by shards: real Celery workers, a real Redis and a real S3 server."""

from __future__ import annotations

import pytest
from labelling_stack import FIRSTS, LabellingStack, assert_complete, shard, spec
from running_stack import wait_for

from reclens.contracts import ReleaseAction, ReleaseChangeSpec, job_kinds
from reclens.contracts.specs.concepts import CONCEPTS_LABEL
from reclens.contracts.specs.release import RELEASE_CHANGE
from reclens.platform.jobs.view import JobState
from reclens.platform.store.artifacts import ArtifactStore


@pytest.fixture
def stack(labelling: LabellingStack) -> LabellingStack:
    return labelling


@pytest.fixture(autouse=True)
def bucket(artifact_store: ArtifactStore) -> ArtifactStore:
    return artifact_store


def test_the_shards_make_the_artifact_and_the_same_job_finds_it(
    stack: LabellingStack, bucket: ArtifactStore
):
    view = stack.finish(stack.submit(1))
    assert view.state is JobState.SUCCEEDED, view
    assert view.task == "reclens.concepts.label.v1"
    assert view.result is not None
    assert view.result.artifact == spec(1).artifact_ref()
    assert_complete(bucket, 1)
    assert [(s.first, s.stop, s.state) for s in view.shards] == [
        (first, first + 4, JobState.SUCCEEDED) for first in FIRSTS
    ]
    assert all(bucket.exists(shard(1, first).artifact_ref()) for first in FIRSTS)
    assert stack.runs(1) == [1, 1, 1, 1]

    again = stack.finish(stack.submit(1))
    assert again.result is not None
    assert again.result.reused
    assert again.shards == ()
    assert stack.runs(1) == [1, 1, 1, 1]
    # The shards are parts, no jobs of their own.
    assert not {job.task for job in stack.joblog.list()} & {
        kind.task for kind in job_kinds().values() if kind.internal
    }


def test_half_of_the_shards_failing_keeps_the_rest_and_a_re_run_makes_only_the_gaps(
    stack: LabellingStack, bucket: ArtifactStore
):
    faults = [stack.ask(2, 4, "fail"), stack.ask(2, 12, "bug")]
    view = stack.finish(stack.submit(2))
    assert view.state is JobState.PARTIAL
    assert view.error is not None
    assert view.error.type == "Partial"
    assert "2 of 4 shards" in view.error.message
    assert "latents 4-7: InvalidInput: a planted fault" in view.error.message
    assert "latents 12-15: ZeroDivisionError: no deliberate error" in view.error.message
    assert "submit the same job again" in view.error.message
    assert not bucket.exists(spec(2).artifact_ref())
    assert bucket.objects.list(f"{spec(2).artifact_ref()}/") == []
    assert [s.state for s in view.shards] == [
        JobState.SUCCEEDED, JobState.FAILED, JobState.SUCCEEDED, JobState.FAILED,
    ]  # fmt: skip
    assert view.shards[1].failure is not None
    assert "labelling_worker.py" in view.shards[1].failure.traceback

    for fault in faults:
        fault.unlink()
    again = stack.finish(stack.submit(2))
    assert again.state is JobState.SUCCEEDED
    assert [s.result.reused for s in again.shards if s.result] == [True, False, True, False]
    assert stack.runs(2) == [1, 2, 1, 2]
    assert_complete(bucket, 2)


def test_a_pipeline_whose_labelling_is_partial_stops_before_its_release(
    stack: LabellingStack, bucket: ArtifactStore
):
    first = stack.finish(stack.submit_pipeline(1))
    assert first.state is JobState.SUCCEEDED
    assert [s.state for s in first.stages] == [JobState.SUCCEEDED] * 6
    assert bucket.releases.head("planted").concepts == spec(1).artifact_ref()

    fault = stack.ask(3, 8, "fail")
    job_id = stack.submit_pipeline(3)
    view = stack.finish(job_id)
    assert view.state is JobState.PARTIAL
    assert view.error is not None
    assert "latents 8-11" in view.error.message
    assert [s.state for s in view.stages][-2:] == [JobState.PARTIAL, JobState.SKIPPED]
    assert [s.state for s in view.stages[-2].shards].count(JobState.SUCCEEDED) == 3
    assert bucket.releases.head("planted").concepts == spec(1).artifact_ref()

    fault.unlink()
    again = stack.finish(stack.submit_pipeline(3))
    assert again.state is JobState.SUCCEEDED
    assert again.result is not None
    assert again.result.artifact == "releases/planted"
    assert bucket.releases.head("planted").concepts == spec(3).artifact_ref()
    assert stack.runs(3) == [1, 1, 2, 1]


def test_a_labelling_at_fault_as_a_whole_fails_with_its_reason(stack: LabellingStack):
    for first in FIRSTS:
        stack.ask(4, first, "fail")
    view = stack.finish(stack.submit(4))
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "InvalidInput"
    assert view.error.message == "plant: a planted fault. Remedy: dig it up."


def test_two_equal_jobs_at_once_label_every_latent_once(
    stack: LabellingStack, bucket: ArtifactStore
):
    gates = [stack.ask(5, first, "hold") for first in (0, 4)]
    first = stack.submit(5)
    wait_for((stack.folder / "5-0.holding").exists, "a shard to run")
    second = stack.submit(5)
    wait_for(lambda: len(stack.joblog.show(second).shards) == 4, "the second to be planned")
    for gate in gates:
        gate.unlink()
    views = [stack.finish(job_id) for job_id in (first, second)]
    assert [view.state for view in views] == [JobState.SUCCEEDED] * 2
    assert stack.noted(5, "latents") == [
        [str(latent) for latent in range(first, first + 4)] for first in FIRSTS
    ]
    assert_complete(bucket, 5)


def test_progress_counts_the_latents_of_all_shards(stack: LabellingStack):
    gates = [stack.ask(6, first, "hold") for first in FIRSTS[1:]]
    job_id = stack.submit(6)

    def done() -> int:
        progress = stack.joblog.show(job_id).progress
        return 0 if progress is None else progress.step

    # Progress within a shard is told once a second, so it may or may not be counted yet.
    wait_for(lambda: done() >= 4, "the shard that is not held to end")
    view = stack.joblog.show(job_id)
    assert view.progress is not None
    assert (view.state, view.progress.total, view.progress.unit) == (
        JobState.RUNNING, 16, "latents",
    )  # fmt: skip
    assert view.progress.step <= 4 + 3 * 2
    for gate in gates:
        gate.unlink()
    assert stack.finish(job_id).state is JobState.SUCCEEDED


def test_waiting_for_a_part_that_is_away_is_shown_and_ends_when_it_is_back(
    stack: LabellingStack, bucket: ArtifactStore
):
    away = stack.folder / "7.away"
    away.touch()
    job_id = stack.submit(7)
    wait_for(lambda: stack.joblog.show(job_id).state is JobState.RETRYING, "the job to wait")
    # Two latents of each shard are done. Tries that get no further do not make it fewer.
    done: set[int] = set()

    def tried_on() -> bool:
        shards = stack.joblog.show(job_id).shards
        done.update(shard.done for shard in shards if shard.state is JobState.RETRYING)
        return min(stack.runs(7)) >= 4

    wait_for(tried_on, "every shard to have tried four times")
    assert done == {2}
    wait_for(lambda: stack.joblog.show(job_id).waiting is not None, "the reason to be shown")
    view = stack.joblog.show(job_id)
    assert view.waiting is not None
    assert view.waiting.message == "http://127.0.0.1:9: answered 503"
    assert view.waiting.since < view.waiting.next_try_at
    assert any(s.state is JobState.RETRYING and s.waiting for s in view.shards)
    away.unlink()
    view = stack.finish(job_id)
    assert view.state is JobState.SUCCEEDED
    assert view.waiting is None
    assert_complete(bucket, 7)
    # What was labelled before the wait was not labelled again.
    assert [sorted(set(lines), key=int) for lines in stack.noted(7, "latents")] == [
        sorted(lines, key=int) for lines in stack.noted(7, "latents")
    ]


def test_cancelling_stops_all_shards_between_two_latents(
    stack: LabellingStack, bucket: ArtifactStore
):
    gates = [stack.ask(8, first, "hold") for first in FIRSTS]
    job_id = stack.submit(8)
    wait_for((stack.folder / "8-0.holding").exists, "a shard to run")
    stack.joblog.cancel(job_id)
    for gate in gates:
        gate.unlink()
    view = stack.finish(job_id)
    assert view.state is JobState.CANCELLED
    assert not bucket.exists(spec(8).artifact_ref())
    # What was labelled so far is not lost.
    assert stack.finish(stack.submit(8)).state is JobState.SUCCEEDED
    assert_complete(bucket, 8)


def test_a_data_set_of_another_lineage_fails_before_anything_is_sent(stack: LabellingStack):
    other = {**spec(15).canonical(), "dataset": "datasets/0123456789abcdef"}
    view = stack.finish(stack.joblog.submit(CONCEPTS_LABEL.task, other))
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "InvalidInput"
    assert view.error.message.startswith("dataset:")
    assert view.shards == ()


def test_a_pipeline_that_ends_after_a_newer_one_does_not_follow_its_release(
    stack: LabellingStack, bucket: ArtifactStore
):
    held = stack.ask(21, 0, "hold")
    older = stack.submit_pipeline(21)
    wait_for((stack.folder / "21-0.holding").exists, "the older pipeline to label")
    newer = stack.finish(stack.submit_pipeline(22))
    assert newer.state is JobState.SUCCEEDED
    held.unlink()
    view = stack.finish(older)
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "StaleRelease"
    assert bucket.exists(spec(21).artifact_ref())
    assert bucket.releases.head("planted").concepts == spec(22).artifact_ref()

    # It is served once somebody still wants it, and one can go back from there.
    assert stack.finish(stack.submit_pipeline(21)).state is JobState.SUCCEEDED
    served = bucket.releases.head("planted")
    assert served.concepts == spec(21).artifact_ref()
    for change, concepts, pinned in (
        (ReleaseChangeSpec(name="planted", action=ReleaseAction.ROLLBACK), 22, False),
        (ReleaseChangeSpec(name="planted", action=ReleaseAction.PIN, author="mia"), 22, True),
    ):
        job = stack.finish(stack.joblog.submit(RELEASE_CHANGE.task, change.canonical()))
        assert job.state is JobState.SUCCEEDED, job
        head = bucket.releases.head("planted")
        assert head.concepts == spec(concepts).artifact_ref()
        assert head.pinned is pinned
    refused = stack.finish(stack.submit_pipeline(21))
    assert refused.error is not None
    assert refused.error.type == "ReleasePinned"
    unpin = ReleaseChangeSpec(name="planted", action=ReleaseAction.UNPIN)
    stack.finish(stack.joblog.submit(RELEASE_CHANGE.task, unpin.canonical()))
    assert not bucket.releases.head("planted").pinned
