"""A labelling and its shards as one view, from what lies in a real Redis."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from reclens.cli.main import run
from reclens.contracts import (
    ConceptShardSpec,
    ConceptsSpec,
    FailureReport,
    JobResult,
    PipelineSpec,
    Progress,
    Waiting,
)
from reclens.contracts.specs.concepts import CONCEPTS_LABEL
from reclens.contracts.specs.pipeline import PIPELINE_RUN
from reclens.errors import JobCancelled, Partial
from reclens.platform.jobs.app import make_app
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobState
from reclens.platform.settings.models import RedisSettings

SPEC = ConceptsSpec(
    autoencoder="autoencoders/0123456789abcdef",
    dataset="datasets/0123456789abcdef",
    shard_latents=10,
)
SHARDS = ConceptShardSpec.of(SPEC, 35)
WAITING = Waiting(
    reason="UNAVAILABLE",
    message="http://127.0.0.1:9: answered 503.",
    since="2020-01-01T00:00:00+00:00",
    next_try_at="2099-01-01T00:00:00+00:00",
)
FAILED = FailureReport(reason="INVALID_INPUT", type="InvalidInput", message="x is odd.")

Say = Callable[[str, Any, str], None]


@pytest.fixture
def settings(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> RedisSettings:
    monkeypatch.setenv("RECLENS_REDIS__URL", redis_url)
    return RedisSettings.model_validate({"url": redis_url})


@pytest.fixture
def log(settings: RedisSettings) -> JobLog:
    return JobLog(settings)


@pytest.fixture
def say(settings: RedisSettings) -> Say:
    """Store a state, as the worker of a task does."""
    backend = make_app(settings).backend
    return backend.store_result


@pytest.fixture
def job_id(log: JobLog) -> str:
    job_id = str(uuid.uuid4())
    log.record(job_id, CONCEPTS_LABEL.task, SPEC.canonical())
    return job_id


def plan(log: JobLog, job_id: str) -> list[str]:
    """One shard was found, three are sent."""
    ids = [str(uuid.uuid4()) for _ in SHARDS[1:]]
    log.planned_shards(job_id, list(zip([None, *ids], SHARDS, strict=True)))
    return ids


def labelled(step: int, rate: float) -> dict[str, Any]:
    return Progress(stage="label", step=step, total=10, unit="latents", rate=rate).canonical()


def made(shard: ConceptShardSpec) -> dict[str, Any]:
    return JobResult(artifact=shard.artifact_ref()).canonical()


def test_progress_is_summed_over_shards_found_made_and_under_way(
    log: JobLog, say: Say, job_id: str
):
    ids = plan(log, job_id)
    say(ids[0], made(SHARDS[1]), "SUCCESS")
    say(ids[1], labelled(3, 2.0), "PROGRESS")
    view = log.show(job_id)
    assert view.state is JobState.RUNNING
    assert view.progress is not None
    assert (view.progress.step, view.progress.total) == (10 + 10 + 3, 35)
    assert (view.progress.rate, view.progress.eta_seconds) == (2.0, (35 - 23) / 2.0)
    assert [s.state for s in view.shards] == [
        JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.RUNNING, JobState.QUEUED,
    ]  # fmt: skip
    assert [s.result.reused for s in view.shards if s.result] == [True, False]


def test_a_job_waits_where_a_shard_waits_and_none_works(log: JobLog, say: Say, job_id: str):
    ids = plan(log, job_id)
    say(ids[0], {"waiting": WAITING.canonical(), "progress": labelled(4, 1.0)}, "WAITING")
    view = log.show(job_id)
    assert view.state is JobState.RETRYING
    assert view.waiting == WAITING
    assert view.progress is not None
    assert view.progress.step == 14  # what it had done before counts on
    assert view.progress.eta_seconds is None  # nobody knows
    say(ids[1], labelled(1, 1.0), "PROGRESS")
    view = log.show(job_id)
    assert view.state is JobState.RUNNING
    assert view.waiting == WAITING


def test_once_all_shards_have_ended_the_job_itself_goes_on(log: JobLog, say: Say, job_id: str):
    for shard_id, shard in zip(plan(log, job_id), SHARDS[1:], strict=True):
        say(shard_id, made(shard), "SUCCESS")
    view = log.show(job_id)
    assert view.state is JobState.RUNNING
    assert view.progress is not None
    assert view.progress.step == 35
    joining = Progress(stage="join", step=2, total=9, unit="concepts")
    say(job_id, joining.canonical(), "PROGRESS")
    assert log.show(job_id).progress == joining
    say(job_id, JobResult(artifact=SPEC.artifact_ref()).canonical(), "SUCCESS")
    assert log.show(job_id).state is JobState.SUCCEEDED


def test_failed_cancelled_and_broken_shards_are_told_apart(log: JobLog, say: Say, job_id: str):
    ids = plan(log, job_id)
    say(ids[0], {"failed": FAILED.canonical()}, "SUCCESS")
    stopped = FailureReport(reason=JobCancelled.reason, type="JobCancelled", message="stopped.")
    say(ids[1], {"failed": stopped.canonical()}, "SUCCESS")
    say(ids[2], KeyError("reclens.concepts.shard.v1"), "FAILURE")
    view = log.show(job_id)
    assert [s.state for s in view.shards] == [
        JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.FAILED,
    ]  # fmt: skip
    assert view.shards[1].failure == FAILED
    assert view.shards[3].failure is not None
    assert view.shards[3].failure.type == "KeyError"


def test_a_pipeline_shows_the_shards_of_its_labelling_and_what_they_wait_for(log: JobLog, say: Say):
    job_id = str(uuid.uuid4())
    stages = PipelineSpec().plan()
    ids = [str(uuid.uuid4()) for _ in stages[:-1]] + [job_id]
    log.record(job_id, PIPELINE_RUN.task, {})
    log.planned(job_id, list(zip(ids, stages, strict=True)))
    for stage_id, stage in zip(ids[:4], stages[:4], strict=True):
        say(stage_id, JobResult(artifact=stage.artifact).canonical(), "SUCCESS")
    log.record(ids[4], CONCEPTS_LABEL.task, SPEC.canonical(), listed=False)
    shards = plan(log, ids[4])
    say(shards[0], {"waiting": WAITING.canonical(), "progress": None}, "WAITING")
    view = log.show(job_id)
    assert view.state is JobState.RETRYING
    assert view.waiting == WAITING
    assert view.progress is not None
    assert (view.progress.step, view.progress.total) == (10, 35)
    assert view.stages[4].state is JobState.RETRYING
    assert len(view.stages[4].shards) == 4

    for one in (ids[4], job_id):
        say(one, Partial("1 of 4 shards were not made."), "FAILURE")
    view = log.show(job_id)
    assert view.state is JobState.PARTIAL
    assert [stage.state for stage in view.stages[4:]] == [JobState.PARTIAL, JobState.SKIPPED]


def test_the_command_line_tells_what_a_job_waits_for(
    log: JobLog,
    say: Say,
    job_id: str,
    capsys: pytest.CaptureFixture[str],
):
    ids = plan(log, job_id)
    say(ids[0], {"waiting": WAITING.canonical(), "progress": None}, "WAITING")
    say(ids[1], {"failed": FAILED.canonical()}, "SUCCESS")
    assert run(["jobs", "show", job_id]) == 0
    shown = capsys.readouterr().out
    assert f"{job_id}  reclens.concepts.label.v1  RETRYING" in shown
    assert "label 10/35 latents" in shown
    assert "waiting for http://127.0.0.1:9: answered 503; next try in" in shown
    assert "4 shards: 1 queued, 1 retrying, 1 succeeded, 1 failed" in shown
    assert "latents 20-29" in shown
    assert "InvalidInput: x is odd." in shown
    assert run(["jobs", "show", job_id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["waiting"] == WAITING.canonical()
    assert run(["jobs", "list"]) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if job_id in one]
    assert "waiting for http://127.0.0.1:9: answered 503" in line


def test_a_partial_job_is_7_and_lists_what_is_missing(
    log: JobLog,
    say: Say,
    job_id: str,
    capsys: pytest.CaptureFixture[str],
):
    ids = plan(log, job_id)
    for shard_id in ids[1:]:
        say(shard_id, made(SHARDS[2]), "SUCCESS")
    say(ids[0], {"failed": FAILED.canonical()}, "SUCCESS")
    say(
        job_id,
        Partial("1 of 4 shards were not made. latents 10-19: x.", remedy="again."),
        "FAILURE",
    )
    assert run(["jobs", "watch", job_id, "--json"]) == 7
    assert json.loads(capsys.readouterr().out)["state"] == "PARTIAL"
    assert run(["jobs", "watch", job_id]) == 7
    told = capsys.readouterr()
    assert "PARTIAL" in told.out
    assert "latents 10-19" in told.out
    assert "Remedy: again." in told.out
    assert "partial" in told.err
    assert run(["jobs", "list"]) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if job_id in one]
    assert "PARTIAL" in line
    assert "3 of 4 shards made" in line


@pytest.mark.parametrize("sent", ["text", [1], {"a": json.loads("[" * 300 + "]" * 300)}])
def test_a_job_is_shown_whatever_was_sent_as_its_specification(log: JobLog, sent: Any):
    job_id = str(uuid.uuid4())
    log.record(job_id, CONCEPTS_LABEL.task, sent)
    view = log.show(job_id)
    assert view.canonical()["spec"] == {"(no specification)": json.dumps(sent)[:200]}


def test_a_shard_that_was_sent_alone_fails_with_its_reason(log: JobLog, say: Say, job_id: str):
    say(job_id, {"failed": FAILED.canonical()}, "SUCCESS")
    view = log.show(job_id)
    assert view.state is JobState.FAILED
    assert view.error is not None
    assert (view.error.type, view.error.message) == ("InvalidInput", "x is odd.")
