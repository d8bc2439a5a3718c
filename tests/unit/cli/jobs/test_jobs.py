"""Jobs on a real Redis: submitted, listed, shown, cancelled. No worker takes them here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reclens.cli.main import run


@pytest.fixture(autouse=True)
def _redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLENS_REDIS__URL", redis_url)


@pytest.fixture
def job_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    path = tmp_path / "job.yaml"
    path.write_text("task: reclens.dataset.import.v1\nspec: {name: ml-100k, k_core: 5}\n")
    assert run(["submit", str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["job_id"]


def test_a_submitted_job_is_listed_and_shown(job_id: str, capsys: pytest.CaptureFixture[str]):
    assert run(["jobs", "list", "--json"]) == 0
    assert job_id in [job["id"] for job in json.loads(capsys.readouterr().out)]
    assert run(["jobs", "show", job_id, "--json"]) == 0
    job = json.loads(capsys.readouterr().out)
    assert (job["task"], job["state"]) == ("reclens.dataset.import.v1", "QUEUED")
    assert job["spec"]["k_core"] == 5


def test_readable_output_has_the_same_job(job_id: str, capsys: pytest.CaptureFixture[str]):
    assert run(["jobs", "list"]) == 0
    assert job_id in capsys.readouterr().out
    assert run(["jobs", "show", job_id]) == 0
    shown = capsys.readouterr().out
    assert f"{job_id}  reclens.dataset.import.v1  QUEUED" in shown


def test_cancelling_says_so_and_prints_nothing_else(
    job_id: str, capsys: pytest.CaptureFixture[str]
):
    assert run(["jobs", "cancel", job_id]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "asked to stop" in told.err


def test_an_unknown_job_is_3(capsys: pytest.CaptureFixture[str]):
    for command in ("show", "cancel", "watch"):
        assert run(["jobs", command, "no-such-job"]) == 3
        told = capsys.readouterr()
        assert "no-such-job" in told.err
        assert told.out == ""
