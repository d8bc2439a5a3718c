"""The attacks of ``make attack`` in a short form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("attack", "number"), [("calls", 1000), ("specs", 300), ("stored", 400), ("messages", 400)]
)
def test_nobody_gets_in_and_nothing_breaks(attack: str, number: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "attack", "--number", str(number), "--only", attack]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS / 'support'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    (result,) = json.loads((tmp_path / "seed-1.json").read_text())["attacks"]
    assert result["cases"] >= number / 10
    # Attacks that all fail at the door try nothing.
    assert attack == "messages" or len(result["outcomes"]) >= 4
