"""Asks the public vulnerability service about every locked package.

    python deploy/supply/audit.py

Exit code 0: it answered for all of them and knows of nothing. 1: it knows of vulnerabilities, which
are listed. 2: it did not answer for all, so that nothing is known; that is no clean bill.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from locks import ROOT

_SHOWN = 5


def verdict(report: dict[str, Any]) -> tuple[int, str]:
    """The exit code and what to say of pip-audit's report in JSON."""
    packages = report["dependencies"]
    known = [
        f"{package['name']} {package['version']}: {fault['id']}, "
        f"mended in {', '.join(fault['fix_versions']) or 'no version'}"
        for package in packages
        for fault in package.get("vulns", [])
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped or not packages:
        shown = ", ".join(skipped[:_SHOWN]) + (", ..." if len(skipped) > _SHOWN else "")
        known.append(
            f"NOT AUDITED: the vulnerability service told nothing of {len(skipped)} of "
            f"{len(packages)} packages ({shown}). Ask again where it can be reached."
        )
        return 2, "\n".join(known)
    if known:
        return 1, "\n".join(known)
    return 0, f"Nothing is known against any of {len(packages)} packages."


def ask(*locks: str) -> dict[str, Any] | None:
    """pip-audit's report on these files; None where it has none, and stderr says why."""
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner=off",
         "--format=json", *(part for lock in locks for part in ("-r", lock))],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        print(done.stderr, file=sys.stderr)
        return None


def main() -> int:
    """Ask, and print what was answered."""
    hashed = [f"locks/{path.name}" for path in sorted(ROOT.glob("locks/*.txt"))]
    hashed.remove("locks/torch.txt")
    # Files with hashes and files without are not read together.
    reports = [ask(*hashed), ask("locks/torch.txt")]
    if None in reports:
        print("NOT AUDITED: pip-audit got no answer; it says why above.", file=sys.stderr)
        return 2
    code, text = verdict(
        {"dependencies": [one for report in reports if report for one in report["dependencies"]]}
    )
    print(text, file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
