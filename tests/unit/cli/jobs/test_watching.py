"""How progress is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reclens.cli.jobs import watching
from reclens.cli.jobs.watching import carry_out, describe, rows_of, watch
from reclens.contracts import JobResult, Progress, ReleaseChangeSpec
from reclens.errors import RecLensError
from reclens.platform.jobs.view import JobError, JobState, JobView, StageView
from reclens.platform.settings.models import RedisSettings


def _stage(name: str, state: JobState, *, reused: bool = False, **more: object) -> StageView:
    result = JobResult(artifact="datasets/0", reused=reused) if state.final else None
    return StageView(
        name=name, job_id=name, artifact="datasets/0", state=state, result=result, **more
    )


def _pipeline(*stages: StageView, state: JobState = JobState.RUNNING) -> JobView:
    return JobView(id="1", task="reclens.pipeline.run.v1", state=state, spec={}, stages=stages)


def test_progress_is_one_line_with_pace_figures_and_time_left():
    progress = Progress(
        stage="train",
        step=1500,
        total=6000,
        rate=12.345,
        eta_seconds=364.5,
        metrics={"fvu": 0.051234, "loss": 0.06, "epoch": 3},
    )
    assert (
        describe(progress)
        == "train 1,500/6,000 steps, 12.3/s, loss 0.06, fvu 0.05123, 6 min 4 s left"
    )


def test_progress_without_an_end_shows_what_it_knows():
    assert describe(Progress(stage="read", step=3, unit="shards")) == "read 3 shards"


def test_the_last_stage_waits_although_the_pipeline_s_own_job_is_busy():
    view = _pipeline(
        _stage("dataset", JobState.SUCCEEDED, reused=True),
        _stage("recommender", JobState.RUNNING),
        _stage("release", JobState.RUNNING),
    )
    assert [(name, state, reused) for name, state, reused, *_ in rows_of(view)] == [
        ("dataset", JobState.SUCCEEDED, True),
        ("recommender", JobState.RUNNING, False),
        ("release", JobState.QUEUED, False),
    ]


def test_elsewhere_than_at_a_terminal_each_change_is_one_line(capsys: pytest.CaptureFixture[str]):
    views = [
        _pipeline(_stage("dataset", JobState.RUNNING), _stage("recommender", JobState.QUEUED)),
        _pipeline(_stage("dataset", JobState.RUNNING), _stage("recommender", JobState.QUEUED)),
        _pipeline(
            _stage("dataset", JobState.SUCCEEDED, reused=True),
            _stage("recommender", JobState.RUNNING),
        ),
        _pipeline(
            _stage("dataset", JobState.SUCCEEDED, reused=True),
            _stage("recommender", JobState.FAILED),
            state=JobState.FAILED,
        ),
    ]
    last = watch(views, live=False)
    assert last is views[-1]
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "▶ dataset: running",
        "✓ dataset: found",
        "▶ recommender: running",
        "✗ recommender: failed",
    ]


def test_at_a_terminal_the_table_has_every_stage(capsys: pytest.CaptureFixture[str]):
    progress = Progress(stage="train", step=5, total=10)
    view = _pipeline(
        _stage("dataset", JobState.SUCCEEDED, reused=True),
        _stage("recommender", JobState.RUNNING, progress=progress),
    )
    assert watch([view], live=True) is view
    told = capsys.readouterr()
    assert told.out == ""
    for expected in ("dataset", "found", "recommender", "train 5/10 steps"):
        assert expected in told.err


def test_every_state_has_a_mark(capsys: pytest.CaptureFixture[str]):
    for state in JobState:
        watch([_pipeline(_stage("dataset", state), state=state)], live=False)


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (JobState.SUCCEEDED, ""),
        (JobState.CANCELLED, "it stays: CANCELLED"),
        (JobState.FAILED, "it stays: RELEASE_PINNED of the job"),
    ],
)
def test_a_job_that_is_carried_out_succeeds_or_raises_why_it_did_not(
    monkeypatch: pytest.MonkeyPatch, end: JobState, why: str
):
    submitted: list[tuple[str, dict[str, Any]]] = []

    class Log:
        """Of one job, which ends so."""

        def __init__(self, _redis: RedisSettings) -> None: ...

        def submit(self, task: str, spec: dict[str, Any]) -> str:
            submitted.append((task, spec))
            return "42"

        def watch(self, job_id: str) -> Iterator[JobView]:
            failed = JobError(type="E", message="RELEASE_PINNED of the job")
            error = failed if end is JobState.FAILED else None
            yield JobView(id=job_id, task="t", state=JobState.RUNNING, spec={})
            yield JobView(id=job_id, task="t", state=end, spec={}, error=error)

    monkeypatch.setattr(watching, "JobLog", Log)
    change = ReleaseChangeSpec.parse({"name": "default", "action": "unpin", "author": "mia"})

    def act() -> None:
        carry_out(RedisSettings(), "t", change, "it stays", "see {job}.")

    if why:
        with pytest.raises(RecLensError, match=why) as raised:
            act()
        assert raised.value.remedy == "see 42."
    else:
        act()
    assert submitted == [("t", change.canonical())]
