"""What rounds came to, summed up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chaos import report
from chaos.report import quantile, spans


def played(seed: int, outcome: str, recovery: float | None = None, **more: Any) -> dict[str, Any]:
    plan = {"seed": seed, "fault": "worker-killed"}
    counts = {"answers": 10, "refusals": 1, "collected": 2, "faults": []}
    return {"plan": plan, "outcome": outcome, "recovery_seconds": recovery} | counts | more


@pytest.mark.parametrize(
    ("seeds", "told"), [([], ""), ([3], "3"), ([1, 2, 3, 7, 9, 10], "1-3, 7, 9-10")]
)
def test_seeds_in_words(seeds: list[int], told: str):
    assert spans(seeds) == told


def test_quantiles_are_values_that_occurred():
    assert quantile([], 0.5) is None
    assert quantile([4.0], 0.95) == 4.0
    assert [quantile([1.0, 2.0, 3.0, 9.0], share) for share in (0.5, 0.75, 0.95)] == [2, 3, 9]


def test_a_round_that_was_played_again_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = [played(1, "held", 3.0), played(27, "BROKEN", faults=["lost"])]
    for number, rounds in enumerate([first, [played(27, "failed", 5.0)]]):
        told = {"machine": "2 cores", "load": 2.0, "rounds": rounds}
        (tmp_path / f"seed-{number}.json").write_text(json.dumps(told))
    files = sorted(map(str, tmp_path.glob("seed-*.json")))
    monkeypatch.setattr("sys.argv", ["report", *files, "--out", str(tmp_path)])
    assert report.main() == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["rounds"], summary["seeds"], summary["broken"]) == (2, "1, 27", [])
    assert summary["outcomes"] == {"held": 1, "failed": 1}
    assert summary["broken_before"] == [27]
    lines = (tmp_path / "README.md").read_text().splitlines()
    (row,) = [line for line in lines if "worker-killed" in line]
    assert row == "| `worker-killed` | 2 | 1 | 1 | 0 | 0 | 3.0 | 5.0 | 5.0 |"
