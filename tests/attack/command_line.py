"""What people are shown of hostile data: commands in a process of their own.

``python -m attack.command_line`` runs the commands that it reads, and tells what each printed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from attack.oracle import LIMIT_MB, Report, peak_mb
from attack.target import Target

Command = tuple[int, list[str]]
"""The case that it looks at, and its arguments."""
_SECONDS = 300
_EXIT_CODES = range(8)


def look(target: Target, report: Report, commands: Sequence[Command]) -> None:
    """Run these commands; each must tell what there is, or why not, and nothing else.

    Args:
        target: that was attacked.
        report: of the attack.
        commands: at least one.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(Path(place).absolute()) for place in sys.path),
        "RECLENS_REDIS__URL": target.redis.settings.url.get_secret_value(),
        "RECLENS_S3__ENDPOINT": target.s3.settings.endpoint,
        "RECLENS_S3__BUCKET": target.s3.settings.bucket,
        "RECLENS_S3__ACCESS_KEY": target.s3.settings.access_key.get_secret_value(),
        "RECLENS_S3__SECRET_KEY": target.s3.settings.secret_key.get_secret_value(),
        "RECLENS_CLIENT__TARGET": target.gateway,
        "RECLENS_CLIENT__TOKEN": target.tokens["admin"],
        "RECLENS_CACHE_DIR": str(target.folder / "cli" / "cache"),
        "RECLENS_STATE_DIR": str(target.folder / "cli" / "state"),
    }
    last = commands[-1][0]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "attack.command_line"],
            input=json.dumps([arguments for _, arguments in commands]),
            env=environment,
            cwd=_working(target),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError as error:
        report.breaks(last, f"commands do not end well: {error}")
        return
    told = json.loads(done.stdout)
    for (number, arguments), one in zip(commands, told["commands"], strict=True):
        _judge(report, number, " ".join(arguments), one)
    report.peaks["command line"] = max(told["peak_mb"], report.peaks.get("command line", 0))
    if told["peak_mb"] > LIMIT_MB:
        report.breaks(last, f"the command line took {told['peak_mb']} MB")


def _working(target: Target) -> str:
    folder = target.folder / "cli"
    folder.mkdir(exist_ok=True)
    return str(folder)


def _judge(report: Report, number: int, what: str, one: dict[str, str | int]) -> None:
    printed = str(one["printed"])
    report.told(number, printed)
    report.outcomes[f"command: {one['code']}"] += 1
    if one["fault"]:
        report.breaks(number, f"`reclens {what}` fails: {str(one['fault'])[-300:]}")
    elif one["code"] not in _EXIT_CODES:
        report.breaks(number, f"`reclens {what}` ends with {one['code']}")
    if any(not char.isprintable() and char not in "\n\t" for char in printed):
        report.breaks(number, f"`reclens {what}` prints control characters")


def _run_all() -> None:
    from reclens.cli.main import run

    found = []
    for arguments in json.load(sys.stdin):
        printed, fault, code = io.StringIO(), "", 0
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                code = run(arguments)
            except BaseException:  # noqa: BLE001 - that is what is looked for
                fault = traceback.format_exc()
        found.append({"code": code, "printed": printed.getvalue(), "fault": fault})
    # Not getrusage's, which begins with what the process had that started this one.
    json.dump({"commands": found, "peak_mb": round(peak_mb(os.getpid()))}, sys.stdout)


if __name__ == "__main__":
    _run_all()
