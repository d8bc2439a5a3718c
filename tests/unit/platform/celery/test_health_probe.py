"""What the probe of worker containers says and returns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reclens.platform.celery.health_probe import main, problem

NOW = 1_000_000.0


def beat(folder: Path, health: str, age: float) -> str:
    path = folder / "heartbeat"
    path.write_text(json.dumps({"health": health, "jobs": 1, "waiting": 2}))
    os.utime(path, (NOW - age, NOW - age))
    return str(path)


@pytest.mark.parametrize("health", ["consuming", "stopping"])
def test_a_fresh_heartbeat_is_healthy(tmp_path: Path, health: str):
    assert problem(beat(tmp_path, health, 29), 30, alive=False, now=NOW) is None


def test_a_stale_one_is_not_and_tells_what_was_last_seen(tmp_path: Path):
    found = problem(beat(tmp_path, "consuming", 31), 30, alive=True, now=NOW)
    assert found is not None
    assert "not consumed for 31 s" in found
    assert "1 jobs and 2 waiting" in found


def test_one_that_waits_for_redis_is_alive_but_not_healthy(tmp_path: Path):
    file = beat(tmp_path, "reconnecting", 1)
    assert "Redis" in str(problem(file, 30, alive=False, now=NOW))
    assert problem(file, 30, alive=True, now=NOW) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "7"])
def test_a_file_that_is_no_heartbeat_is_said_to_be_none(tmp_path: Path, text: str):
    path = tmp_path / "heartbeat"
    path.write_text(text)
    assert "cannot be read" in str(problem(str(path), 30, alive=True, now=NOW))


def test_as_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("RECLENS_HEARTBEAT__FILE", raising=False)
    assert main([]) == 1
    assert "RECLENS_HEARTBEAT__FILE" in capsys.readouterr().out
    monkeypatch.setenv("RECLENS_HEARTBEAT__FILE", str(tmp_path / "heartbeat"))
    assert main([]) == 1
    assert "no heartbeat yet" in capsys.readouterr().out
    (tmp_path / "heartbeat").write_text('{"health": "consuming"}')
    assert main([]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_it_imports_nothing_that_takes_time():
    code = "import reclens.platform.celery.health_probe, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"celery", "kombu", "redis", "pydantic", "grpc", "numpy", "torch"}
