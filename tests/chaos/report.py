"""``python -m chaos.report RESULTS... --out FOLDER``: sums up rounds as JSON and as a page.

Of a seed that was played again, what was played last counts; where it was broken before, that is
told.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import psutil

from chaos.schedule import FAULTS

_OUTCOMES = ("held", "failed", "missed", "left out", "BROKEN")


def main() -> int:
    """Write ``summary.json`` and ``README.md``."""
    parser = argparse.ArgumentParser(prog="chaos.report", description=__doc__)
    parser.add_argument("results", type=Path, nargs="+", help="files of `python -m chaos`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the page")
    given = parser.parse_args()
    rounds: dict[int, dict[str, Any]] = {}
    machines: dict[str, list[float]] = {}
    broken: set[int] = set()
    for path in sorted(given.results, key=lambda one: one.stat().st_mtime):
        found = json.loads(path.read_text())
        machines.setdefault(found["machine"], []).append(found["load"])
        broken |= {n["plan"]["seed"] for n in found["rounds"] if n["outcome"] == "BROKEN"}
        rounds |= {one["plan"]["seed"]: one for one in found["rounds"]}
    told = [f"{one}; {min(n):.0f} to {max(n):.0f} busy processes" for one, n in machines.items()]
    summary = summed_up([rounds[seed] for seed in sorted(rounds)], told, broken)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    (given.out / "README.md").write_text(page(summary))
    return 0


def machine(redis: str) -> str:
    """What rounds are played on, in words.

    Args:
        redis: its version.
    """
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores ({named[0] if named else platform.machine()}), {memory:.0f} GB, "
        f"Python {platform.python_version()}, Redis {redis}"
    )


def summed_up(
    rounds: Sequence[dict[str, Any]], machines: list[str], broken: Collection[int]
) -> dict[str, Any]:
    """What came of all rounds, by kind of fault.

    Args:
        rounds: one a seed, in the order of seeds.
        machines: that they were played on.
        broken: seeds of rounds that were broken at any time.
    """
    by_fault: dict[str, Any] = {}
    for fault in FAULTS:
        played = [one for one in rounds if one["plan"]["fault"] == fault]
        took = sorted(r for one in played if (r := one["recovery_seconds"]) is not None)
        by_fault[fault] = {
            "rounds": len(played),
            "outcomes": dict(Counter(one["outcome"] for one in played)),
            "recovery_seconds": {
                "median": quantile(took, 0.5),
                "p95": quantile(took, 0.95),
                "max": took[-1] if took else None,
            },
        }
    return {
        "machines": machines,
        "rounds": len(rounds),
        "seeds": spans([one["plan"]["seed"] for one in rounds]),
        "outcomes": dict(Counter(one["outcome"] for one in rounds)),
        "answers": sum(one["answers"] for one in rounds),
        "refusals": sum(one["refusals"] for one in rounds),
        "collected": sum(one["collected"] for one in rounds),
        "faults": by_fault,
        "broken_before": [
            one["plan"]["seed"]
            for one in rounds
            if one["outcome"] != "BROKEN" and one["plan"]["seed"] in broken
        ],
        "broken": [
            {"seed": one["plan"]["seed"], "plan": one["plan"], "found": one["faults"]}
            for one in rounds
            if one["outcome"] == "BROKEN"
        ],
    }


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that ``share`` of all do not exceed; None of none."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None


def spans(seeds: Sequence[int]) -> str:
    """Ascending seeds in words: ``1-40, 52``."""
    found: list[list[int]] = []
    for seed in seeds:
        if found and seed == found[-1][1] + 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return ", ".join(f"{a}-{b}" if a < b else str(a) for a, b in found)


def page(summary: dict[str, Any]) -> str:
    """The summary as Markdown."""
    outcomes = summary["outcomes"]
    told = ", ".join(f"{outcomes[one]} {one}" for one in _OUTCOMES if one in outcomes)
    lines = [
        "# Breaking things on purpose: the rounds",
        "",
        f"{summary['rounds']} rounds of `make chaos` (seeds {summary['seeds']}): {told}. "
        f"Meanwhile the gateway gave {summary['answers']:,} answers, each of one version, and "
        f"refused {summary['refusals']:,} requests while a part was away. A garbage collection "
        f"after each round removed {summary['collected']:,} artifacts, attempts and checkpoints in "
        "all, and left what releases need and nothing else.",
        "",
        *[f"Machine: {one}." for one in summary["machines"]],
        "[chaos.md](../../how-to/chaos.md) says what is broken, what must hold, and what the words "
        "mean. `make chaos N=1 SEED=...` repeats a round.",
        "",
        "Recovery is the time from the mending until all jobs of the round have ended, the work "
        "that was left included.",
        "",
        "| what breaks | rounds | held | failed, explained | missed | broken | recovery s: median "
        "| p95 | most |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for fault, one in summary["faults"].items():
        counts = [
            str(one["outcomes"].get(key, 0)) for key in ("held", "failed", "missed", "BROKEN")
        ]
        took = [
            "" if value is None else f"{value:.1f}" for value in one["recovery_seconds"].values()
        ]
        lines.append(" | ".join([f"| `{fault}`", str(one["rounds"]), *counts, *took]) + " |")
    if left := outcomes.get("left out"):
        lines += ["", f"{left} rounds were left out: this machine cannot break that."]
    if before := summary["broken_before"]:
        lines += [
            "",
            f"Played again, as they had been broken before a mend: seeds {spans(before)}.",
        ]
    for one in summary["broken"]:
        lines += ["", f"Broken, seed {one['seed']}:", "", *(f"- {what}" for what in one["found"])]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
