"""The rounds of ``make chaos`` in a short form: of most kinds of fault one that is soon over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from chaos.schedule import draw

TESTS = Path(__file__).parents[1]
SEEDS = {
    "pool-killed": 30,
    "redis-killed": 28,
    "store-5xx": 6,
    "redis-full": 8,
    "store-cut": 9,
    "disk-full": 12,
    "serving-killed": 13,
    "store-409": 67,
    "store-killed": 95,
    "message-poisoned": 70,
    "redis-rolled-back": 72,
    "messages-reordered": 22,
    "memory-short": 103,
}
"""Those that take longest for their kind are left to the command."""


def test_nothing_is_lost_whatever_breaks(tmp_path: Path) -> None:
    assert [draw(seed).fault for seed in SEEDS.values()] == list(SEEDS)
    seeds = map(str, SEEDS.values())
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--seeds", *seeds, "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    (file,) = tmp_path.glob("seed-*.json")
    rounds = json.loads(file.read_text())["rounds"]
    assert [one["plan"]["seed"] for one in rounds] == list(SEEDS.values())
    # A round whose moment never comes breaks nothing.
    assert [one["plan"] for one in rounds if one["outcome"] == "missed"] == []
