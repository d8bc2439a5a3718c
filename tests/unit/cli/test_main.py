"""Finding commands, and errors as one line with an exit code."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from reclens.cli.main import exit_code, run
from reclens.errors import (
    CorruptArtifact,
    InvalidSpec,
    JobCancelled,
    MalformedData,
    MissingData,
    NotReady,
    Partial,
    RecLensError,
    Unavailable,
)
from reclens.ops.local.servers import free_ports


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidSpec, 2),
        (MalformedData, 2),
        (MissingData, 3),
        (Unavailable, 4),
        (NotReady, 5),
        (JobCancelled, 6),
        (Partial, 7),
        (CorruptArtifact, 1),
    ],
)
def test_every_class_of_error_has_its_exit_code(error: type[RecLensError], code: int):
    assert exit_code(error("what is wrong")) == code


def test_help_names_all_commands(capsys: pytest.CaptureFixture[str]):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in (
        "up", "down", "status", "submit", "jobs", "artifacts", "concepts", "recommend", "explain",
        "demo",
    ):  # fmt: skip
        assert command in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["jobs", "no-such-command"],
        ["recommend", "--no-such-option"],
        ["recommend"],
        ["recommend", "--user", "1", "--history", "1,2"],
        ["recommend", "--user", "1", "--more", "drama:much"],
        ["recommend", "--user", "1", "--less", "drama:-1"],
        ["recommend", "--user", "1", "--more", "drama:inf"],
        ["recommend", "--user", "1", "--top-k", "0"],
        ["concepts", "search"],
        ["concepts", "search", "noir", "--user", "1"],
    ],
)
def test_wrong_usage_ends_with_2_and_prints_nothing_on_standard_output(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    assert run(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize("arguments", [["jobs", "list"], ["jobs", "show", "x", "--json"]])
def test_a_redis_that_is_away_is_one_line_and_4(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (port,) = free_ports(1)
    monkeypatch.setenv("RECLENS_REDIS__URL", f"redis://127.0.0.1:{port}/0")
    assert run(arguments) == 4
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1


def test_a_gateway_that_is_away_is_one_line_and_4(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (port,) = free_ports(1)
    monkeypatch.setenv("RECLENS_CLIENT__TARGET", f"127.0.0.1:{port}")
    assert run(["recommend", "--user", "1"]) == 4
    told = capsys.readouterr()
    assert str(port) in told.err
    assert told.err.count("\n") == 1


def test_status_without_a_stack_is_4_and_json_all_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path
):
    monkeypatch.setenv("RECLENS_STATE_DIR", str(tmp_path))
    assert run(["status", "--json"]) == 4
    assert json.loads(capsys.readouterr().out) == {"healthy": False, "parts": []}


def test_a_command_waits_for_its_own_imports_only():
    slow = ["celery", "grpc", "minio", "torch"]
    code = f"import sys, reclens.cli.main; print([m for m in {slow} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert loaded.strip() == "[]"
