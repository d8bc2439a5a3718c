"""``python -m attack --number N --seed SEED``: N calls, a tenth as many of each other attack."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attack import calls, jobs, stored
from attack.oracle import Guard, Report
from attack.target import Target

_BATCH = 250
ATTACKS: dict[str, Callable[[Target, int, range], Report]] = {
    calls.ATTACK: calls.run,
    jobs.SPECS: jobs.run_specs,
    stored.ATTACK: stored.run,
    jobs.MESSAGES: jobs.run_messages,
}


def main() -> int:
    """Make the attacks; 1 where one broke something."""
    parser = argparse.ArgumentParser(prog="attack", description=__doc__)
    parser.add_argument("--number", type=int, default=10_000, help="of calls (default: 10000)")
    parser.add_argument("--seed", type=int, default=1, help="of all cases (default: 1)")
    parser.add_argument("--only", choices=list(ATTACKS), help="this attack alone")
    parser.add_argument("--case", type=int, help="this case of it alone")
    parser.add_argument("--out", type=Path, default=Path("out/attack"), help="folder of the result")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    started = time.monotonic()
    result: dict[str, Any] = {"seed": given.seed, "number": given.number, "attacks": []}
    try:
        target = Target(folder)
        with target.opened():
            say(f"ready in {time.monotonic() - started:.0f} s")
            guard = Guard(target)
            with guard.watching():
                for name in [given.only] if given.only else ATTACKS:
                    one = _made(target, guard, name, given)
                    result["attacks"].append(one)
            result["memory"] = guard.memory()
            if any(one["broken"] for one in result["attacks"]):
                shutil.copytree(target.logs, given.out / "logs", dirs_exist_ok=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result["seconds"] = round(time.monotonic() - started)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"seed-{given.seed}.json").write_text(json.dumps(result, indent=2) + "\n")
    broken = sum(len(one["broken"]) for one in result["attacks"])
    say(f"{broken} broken" if broken else "held")
    return 1 if broken else 0


def _made(target: Target, guard: Guard, name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Make one attack in batches, and look after each what it did."""
    count = given.number if name == calls.ATTACK else max(1, given.number // 10)
    cases = range(count) if given.case is None else range(given.case, given.case + 1)
    report, started = Report(name), time.monotonic()
    for first in range(cases.start, cases.stop, _BATCH):
        batch = range(first, min(first + _BATCH, cases.stop))
        report.add(ATTACKS[name](target, given.seed, batch))
        if faults := guard.faults():
            case, how = _blamed(target, guard, name, given.seed, batch)
            report.broken += [(case, f"{fault} ({how})") for fault in faults]
        if first == cases.start:
            # What a process needs for its first work is no growth.
            guard.settle()
    say(f"{name}: {report.cases} cases in {time.monotonic() - started:.0f} s, {_told(report)}")
    for case, what in report.broken:
        say(f"  ! {what}\n    again: make attack SEED={given.seed} ONLY={name} CASE={case}")
    return report.canonical() | {"seconds": round(time.monotonic() - started)}


def _blamed(target: Target, guard: Guard, name: str, seed: int, batch: range) -> tuple[int, str]:
    """Which case of a batch broke something that is seen of all together: the first that does so
    again by itself."""
    if len(batch) == 1:
        return batch[0], "by itself"
    for case in batch:
        ATTACKS[name](target, seed, range(case, case + 1))
        if guard.faults():
            return case, "and again by itself"
    return batch[-1], f"in cases {batch[0]} to {batch[-1]}, and in none of them by itself"


def _told(report: Report) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in report.outcomes.most_common(12))
    return f"{len(report.broken)} broken ({counts})"


def say(line: str) -> None:
    """Print at once: a run is followed for minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
