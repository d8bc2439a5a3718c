"""``python -m chaos --rounds N --seed SEED``: round i has seed SEED + i, which alone repeats it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from chaos.report import machine
from chaos.rounds import Result, Round
from chaos.schedule import FAULTS, draw
from chaos.serving import Probe
from chaos.world import World


def main() -> int:
    """Play the rounds; 1 where one is broken."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the first one (default: 1)")
    parser.add_argument("--seeds", type=int, nargs="+", help="of these rounds, instead of in a row")
    parser.add_argument("--fault", choices=list(FAULTS), help="this kind of fault alone")
    parser.add_argument("--out", type=Path, default=Path("out/chaos"), help="folder of the result")
    given = parser.parse_args()
    seeds = given.seeds or range(given.seed, given.seed + given.rounds)
    plans = [draw(seed, given.fault) for seed in seeds]
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    results: list[Result] = []
    started = time.monotonic()
    world = World(folder)
    try:
        with world.opened():
            probe = Probe(world)
            probe.learn()
            played_on = machine(world.redis.version)
            disk = "a file system of its own" if world.disk.mounted else "limits of file size"
            say(f"ready in {time.monotonic() - started:.0f} s; the small disk is {disk}")
            for number, plan in enumerate(plans, start=1):
                say(f"round {number}/{len(plans)} seed {plan.seed}: {plan}")
                result = Round(world, probe, plan).play()
                results.append(result)
                report(result, given.fault)
                write(results, given.out, seeds[0], played_on)
                if result.outcome == "BROKEN":
                    keep_logs(world, given.out, plan.seed)
                    world.begin_anew()
                else:
                    world.mend()
    except Exception:
        keep_logs(world, given.out, seeds[0])
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    counts = Counter(result.outcome for result in results)
    say(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["BROKEN"] else 0


def report(result: Result, fault: str | None) -> None:
    """One line of a round, and more where it is broken."""
    recovery = "" if result.recovery_seconds is None else f", recovered {result.recovery_seconds} s"
    victim = f", hit {result.victim}" if result.victim else ""
    served = f", {result.answers} answers and {result.refusals} refusals"
    say(f"  {result.outcome} after {result.seconds} s{recovery}{victim}{served}")
    for error in result.errors:
        say(f"  error: {error}")
    if result.strays:
        say(f"  {len(result.strays)} strays, e.g. {result.strays[0]}")
    if result.outcome != "BROKEN":
        return
    for one in result.faults:
        say(f"  ! {one}")
    say(f"  states: {result.states}; exits: {result.exits}")
    for name, tail in result.logs.items():
        say(f"  end of {name}'s log:\n{tail}")
    option = f" FAULT={fault}" if fault else ""
    say(f"  again: make chaos N=1 SEED={result.plan.seed}{option}")


def write(results: list[Result], folder: Path, seed: int, played_on: str) -> None:
    """All rounds so far as JSON, ``seed-N.json``, for `chaos.report`."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {
        "seed": seed,
        "machine": played_on,
        "load": os.getloadavg()[2],
        "outcomes": Counter(result.outcome for result in results),
        "rounds": [result.canonical() for result in results],
    }
    (folder / f"seed-{seed}.json").write_text(json.dumps(found, indent=2) + "\n")


def keep_logs(world: World, folder: Path, seed: int) -> None:
    """Copy the logs of a round that is broken."""
    shutil.copytree(world.logs, folder / f"logs-{seed}", dirs_exist_ok=True)


def say(line: str) -> None:
    """Print at once: a run is followed for minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
