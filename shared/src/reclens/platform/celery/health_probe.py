"""Container health check: exits 0 where a worker's heartbeat is fresh, 1 where it is not.

python -m reclens.platform.celery.health_probe [--file FILE] [--max-age SECONDS] [--alive]

A line says what is wrong. Imports nothing of RecLens, for it is started every few seconds.
"""

import argparse
import json
import os
import sys
import time

_VARIABLE = "RECLENS_HEARTBEAT__FILE"


def problem(file: str, max_age: float, *, alive: bool, now: float) -> str | None:
    """What is wrong with the worker that renews ``file``; None where nothing is.

    Args:
        file: path of the heartbeat.
        max_age: seconds.
        alive: be content with one that waits for Redis: a fresh process could do no better.
        now: seconds since the epoch.
    """
    try:
        with open(file, encoding="utf-8") as opened:  # noqa: PTH123 - pathlib takes its time
            age = now - os.fstat(opened.fileno()).st_mtime
            told = json.load(opened)
        health = str(told["health"])
    except FileNotFoundError:
        return f"no heartbeat yet in {file}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{file} cannot be read: {error!r}"
    if age > max_age:
        return (
            f"the worker has not consumed for {age:.0f} s, at most {max_age:.0f} s are allowed; "
            f"last seen {health}, with {told.get('jobs')} jobs and {told.get('waiting')} waiting"
        )
    if health == "reconnecting" and not alive:
        return "the worker waits for Redis, which does not answer"
    return None


def main(arguments: list[str] | None = None) -> int:
    """Probe as the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(prog="worker_health_probe", description=__doc__)
    parser.add_argument("--file", default=os.environ.get(_VARIABLE), help=f"default: ${_VARIABLE}")
    parser.add_argument("--max-age", type=float, default=30.0, help="seconds (default: 30)")
    parser.add_argument("--alive", action="store_true", help="waiting for Redis is healthy, too")
    given = parser.parse_args(arguments)
    if not given.file:
        print(f"no heartbeat file: set {_VARIABLE} or --file")  # noqa: T201
        return 1
    found = problem(given.file, given.max_age, alive=given.alive, now=time.time())
    print(found or "the worker is well")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
