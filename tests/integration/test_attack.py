"""The attacks of ``make attack`` in a short form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_nobody_gets_in_and_nothing_breaks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "attack", "--number", "400", "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS / 'support'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    attacks = json.loads((tmp_path / "seed-1.json").read_text())["attacks"]
    assert {one["attack"]: one["cases"] for one in attacks} == {
        "calls": 400,
        "specs": 40,
        "stored": 40,
        "messages": 40,
    }
    # A fuzz whose cases all die at the door tries nothing.
    assert all(len(one["outcomes"]) >= 5 for one in attacks if one["attack"] != "messages")
