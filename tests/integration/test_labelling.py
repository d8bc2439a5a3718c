"""Labelling by shards: real Celery workers, a real Redis and a real S3 server, cut and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from planted_artifacts import commit_planted, pipeline
from planted_world import planted_world
from running_stack import wait_for

from reclens.adapters.artifacts import ArtifactStore
from reclens.adapters.celery_app import make_app
from reclens.adapters.joblog import JobLog, JobState, JobView
from reclens.adapters.settings import RedisSettings, S3Settings, StoreSettings
from reclens.concepts.joining import label_latents
from reclens.concepts.table import read_concepts
from reclens.contracts import (
    ConceptShardSpec,
    ConceptsSpec,
    TaskName,
)
from reclens.contracts.tables import CONCEPTS

N_LATENTS = 16
FIRSTS = (0, 4, 8, 12)
VISIBILITY_SECONDS = 4


def spec(seed: int) -> ConceptsSpec:
    (stage,) = [s for s in pipeline(shard_latents=4, seed=seed).plan() if s.name == "concepts"]
    return ConceptsSpec.parse(stage.spec)


def shard(seed: int, first: int) -> ConceptShardSpec:
    return ConceptShardSpec.of(spec(seed), N_LATENTS)[first // 4]


class Stack:
    """Labelling workers and a client."""

    def __init__(self, redis_url: str, s3: S3Settings, folder: Path) -> None:
        self.folder = folder
        self.joblog = JobLog(RedisSettings.model_validate({"url": redis_url}))
        self.workers: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            "LABELLING_FOLDER": str(folder),
            "PYTHONPATH": os.pathsep.join(
                [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
            ),
            "RECLENS_REDIS__URL": redis_url,
            "RECLENS_REDIS__VISIBILITY_TIMEOUT_SECONDS": str(VISIBILITY_SECONDS),
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
                [sys.executable, str(Path(__file__).parent / "labelling_worker.py")],
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self.workers.append(worker)
        return worker

    def submit(self, seed: int) -> str:
        return self.joblog.submit(TaskName.CONCEPTS_LABEL, spec(seed).canonical())

    def submit_pipeline(self, seed: int) -> str:
        plan = pipeline(shard_latents=4, seed=seed)
        return self.joblog.submit(TaskName.PIPELINE_RUN, plan.canonical())

    def finish(self, job_id: str) -> JobView:
        wait_for(lambda: self.joblog.show(job_id).state.final, f"job {job_id}")
        return self.joblog.show(job_id)

    def ask(self, seed: int, first: int, what: str) -> Path:
        path = self.folder / f"{seed}-{first}.{what}"
        path.touch()
        return path

    def noted(self, seed: int, what: str) -> list[list[str]]:
        """Lines that the workers noted, per shard."""
        paths = [self.folder / f"{seed}-{first}.{what}" for first in FIRSTS]
        return [path.read_text().splitlines() if path.exists() else [] for path in paths]

    def runs(self, seed: int) -> list[int]:
        return [len(lines) for lines in self.noted(seed, "runs")]


@pytest.fixture(scope="module")
def stack(
    redis_url: str, s3: S3Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    stack = Stack(redis_url, s3, tmp_path_factory.mktemp("labelling"))
    store = ArtifactStore.from_settings(StoreSettings(s3=s3, cache_dir=stack.folder / "own"))
    store.objects.ensure_bucket()
    commit_planted(planted_world(), store, stack.folder / "planted")
    stack.start_worker()
    yield stack
    for held in stack.folder.glob("*.hold"):
        held.unlink()
    for worker in stack.workers:
        worker.send_signal(signal.SIGQUIT)
        worker.wait(30)


@pytest.fixture(autouse=True)
def bucket(artifact_store: ArtifactStore) -> ArtifactStore:
    return artifact_store


def assert_complete(bucket: ArtifactStore, seed: int) -> None:
    """The artifact has the rows that one process makes in one go."""
    world = planted_world()
    whole = label_latents(
        world.construct,
        world.verify,
        world.items,
        np.full(world.n_latents, 2.0, np.float32),
        options=spec(seed),
    )
    ref = spec(seed).artifact_ref()
    assert read_concepts(bucket.fetch(ref, CONCEPTS)) == whole.rows
    assert bucket.manifest(ref).metrics == whole.metrics


def test_the_shards_make_the_artifact_and_the_same_job_finds_it(
    stack: Stack, bucket: ArtifactStore
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
    assert {job.task for job in stack.joblog.list()} == {"reclens.concepts.label.v1"}


def test_half_of_the_shards_failing_keeps_the_rest_and_a_re_run_makes_only_the_gaps(
    stack: Stack, bucket: ArtifactStore
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
    stack: Stack, bucket: ArtifactStore
):
    first = stack.finish(stack.submit_pipeline(1))
    assert first.state is JobState.SUCCEEDED
    assert [s.state for s in first.stages] == [JobState.SUCCEEDED] * 6
    assert bucket.release("planted").concepts == spec(1).artifact_ref()

    fault = stack.ask(3, 8, "fail")
    job_id = stack.submit_pipeline(3)
    view = stack.finish(job_id)
    assert view.state is JobState.PARTIAL
    assert view.error is not None
    assert "latents 8-11" in view.error.message
    assert [s.state for s in view.stages][-2:] == [JobState.PARTIAL, JobState.SKIPPED]
    assert [s.state for s in view.stages[-2].shards].count(JobState.SUCCEEDED) == 3
    assert bucket.release("planted").concepts == spec(1).artifact_ref()

    fault.unlink()
    again = stack.finish(stack.submit_pipeline(3))
    assert again.state is JobState.SUCCEEDED
    assert again.result is not None
    assert again.result.artifact == "releases/planted"
    assert bucket.release("planted").concepts == spec(3).artifact_ref()
    assert stack.runs(3) == [1, 1, 2, 1]


def test_a_labelling_at_fault_as_a_whole_fails_with_its_reason(stack: Stack):
    for first in FIRSTS:
        stack.ask(4, first, "fail")
    view = stack.finish(stack.submit(4))
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "InvalidInput"
    assert view.error.message == "plant: a planted fault. Remedy: dig it up."


def test_two_equal_jobs_at_once_label_every_latent_once(stack: Stack, bucket: ArtifactStore):
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


def test_progress_counts_the_latents_of_all_shards(stack: Stack):
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
    stack: Stack, bucket: ArtifactStore
):
    away = stack.folder / "7.away"
    away.touch()
    job_id = stack.submit(7)
    wait_for(lambda: stack.joblog.show(job_id).state is JobState.RETRYING, "the job to wait")
    wait_for(lambda: min(stack.runs(7)) >= 3, "every shard to have tried again")
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


def test_cancelling_stops_all_shards_between_two_latents(stack: Stack, bucket: ArtifactStore):
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


def test_a_worker_told_to_stop_leaves_between_two_latents_and_another_goes_on(
    stack: Stack, bucket: ArtifactStore
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
    stack: Stack, bucket: ArtifactStore
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
    stack: Stack, bucket: ArtifactStore
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
    stack: Stack, bucket: ArtifactStore
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
    stack: Stack, bucket: ArtifactStore, redis_url: str
):
    gate = stack.ask(13, 4, "hold")
    job_id = stack.submit(13)
    wait_for((stack.folder / "13-4.holding").exists, "a shard to run")
    planned = [view.job_id for view in stack.joblog.show(job_id).shards]
    app = make_app(RedisSettings.model_validate({"url": redis_url}))
    app.send_task(
        TaskName.CONCEPTS_JOIN.value, kwargs={"spec": spec(13).canonical()}, task_id=job_id
    )
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


def test_a_shard_whose_bytes_have_changed_is_not_joined(stack: Stack, bucket: ArtifactStore):
    gate = stack.ask(14, 12, "hold")
    job_id = stack.submit(14)
    ref = shard(14, 0).artifact_ref()
    wait_for(lambda: bucket.exists(ref), "the first shard to be made")
    sound = bucket.objects.get(f"{ref}/shard.parquet")
    bucket.objects.put(f"{ref}/shard.parquet", sound[:100] + bytes([sound[100] ^ 1]) + sound[101:])
    gate.unlink()
    view = stack.finish(job_id)
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "CorruptArtifact"
    assert ref in view.error.message
    assert not bucket.exists(spec(14).artifact_ref())


def test_a_data_set_of_another_lineage_fails_before_anything_is_sent(stack: Stack):
    other = {**spec(15).canonical(), "dataset": "datasets/0123456789abcdef"}
    view = stack.finish(stack.joblog.submit(TaskName.CONCEPTS_LABEL, other))
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert view.error.type == "InvalidInput"
    assert view.error.message.startswith("dataset:")
    assert view.shards == ()
