"""What must hold whatever is tried: nobody in, nothing out, no process dead or grown."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from chaos.programs import Program, repeated

from attack.target import ESCAPED, MARK, Target
from reclens.errors import InternalError, RecLensError

GROWTH_MB = 400
"""Most that one process may grow once it has done its first work."""
LIMIT_MB = 1024
"""Most that one process may take at any time, as a container's memory is limited."""
_SECRETS = (MARK, "root:x:0:0")
_DEATHS = ("WorkerLostError", "handler failed", "Unrecoverable error", "consumer ended")


@dataclass
class Report:
    """What came of one attack's cases."""

    attack: str
    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """How they ended, counted."""
    peaks: dict[str, int] = field(default_factory=dict)
    """Megabytes at most of processes that were started meanwhile."""
    broken: list[tuple[int, str]] = field(default_factory=list)
    """Cases that broke something, by number, and what."""

    def note(self, case: int, outcome: str) -> None:
        """Count a case that was answered, or refused as it should be."""
        self.cases += 1
        self.outcomes[outcome] += 1

    def breaks(self, case: int, what: str) -> None:
        """Note a case that broke something."""
        self.broken.append((case, printable(what)[:400]))

    def refused(self, case: int, error: BaseException) -> None:
        """Note an error: it must be a deliberate one that says why, and no secret."""
        deliberate = isinstance(error, RecLensError) and not isinstance(error, InternalError)
        if not deliberate or not str(error).strip():
            self.breaks(case, f"{type(error).__name__}: {error}")
        self.told(case, str(error))
        self.outcomes[f"refused: {type(error).__name__}"] += 1

    def told(self, case: int, text: str) -> None:
        """Look for secrets in what somebody was told."""
        if secret := secret_in(text):
            self.breaks(case, f"tells {secret!r}")

    def add(self, part: Report) -> None:
        """Add what came of more cases."""
        self.cases += part.cases
        self.outcomes += part.outcomes
        self.broken += part.broken
        for name, peak in part.peaks.items():
            self.peaks[name] = max(peak, self.peaks.get(name, 0))

    def canonical(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "attack": self.attack,
            "cases": self.cases,
            "outcomes": dict(self.outcomes.most_common()),
            "peaks": self.peaks,
            "broken": [{"case": case, "what": what} for case, what in self.broken],
        }


def secret_in(text: str) -> str | None:
    """The first secret of the world that stands in a text."""
    return next((secret for secret in _SECRETS if secret in text), None)


def printable(text: str) -> str:
    """A text without what moves a terminal."""
    return text.encode("unicode_escape", "backslashreplace").decode("ascii")


def peak_mb(pid: int) -> float:
    """The most memory that a process has had, where the system tells; else what it has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return psutil.Process(pid).memory_info().rss / 2**20


def _forget_peak(pid: int) -> None:
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


class Guard:
    """Watches the processes of a target while it is attacked."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._usual = float(LIMIT_MB)
        self._first: dict[int, float] = {}
        self._since: dict[int, float] = {}
        self._most: dict[int, float] = {}
        self._names: dict[int, str] = {}
        self._read = {program.name: 0 for program in self._programs}

    @property
    def _programs(self) -> list[Program]:
        return [one for name, one in self._target.programs.items() if name not in ("redis", "s3")]

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Measure the processes' memory, for the life of the block."""
        self.measure()
        with repeated(self.measure, 0.5):
            yield

    def measure(self) -> None:
        """Note the most memory of each process since it was last looked at."""
        for program in self._programs:
            for pid in program.pids():
                with contextlib.suppress(psutil.Error, OSError):
                    megabytes = peak_mb(pid)
                    self._names.setdefault(pid, program.name)
                    self._first.setdefault(pid, max(megabytes, self._usual))
                    self._since[pid] = max(megabytes, self._since.get(pid, 0.0))
                    self._most[pid] = max(megabytes, self._most.get(pid, 0.0))

    def settle(self) -> None:
        """Count growth from here on: what a process needs for its work it has, or one of them."""
        self.measure()
        self._usual = max(self._most.values())
        self._first = dict.fromkeys(self._most, self._usual)

    def memory(self) -> dict[str, int]:
        """Megabytes at most, of each program's largest process."""
        found: dict[str, int] = {}
        for pid in sorted(self._most, key=self._most.__getitem__):
            found[self._names[pid]] = round(self._most[pid])
        return found

    def faults(self) -> list[str]:
        """What is wrong since the last look, in words."""
        found: list[str] = []
        for program in self._programs:
            if program.exits:
                found.append(
                    f"{program.name} ended {len(program.exits)} times: {program.exits[:5]}"
                )
            program.exits.clear()
            text = program.log.read_bytes()[self._read[program.name] :].decode(errors="replace")
            self._read[program.name] += len(text.encode())
            found += [f"{program.name} logs {sign!r}" for sign in _DEATHS if sign in text]
            if secret := secret_in(text):
                found.append(f"{program.name}'s log tells {secret!r}")
        self.measure()
        for pid, most in self._since.items():
            bound = self._first[pid] + GROWTH_MB
            if most > (bound if self._first[pid] > LIMIT_MB else min(LIMIT_MB, bound)):
                grown = f"{self._first[pid]:.0f} to {most:.0f} MB"
                found.append(f"{self._names[pid]} grew from {grown}")
                # What it has for good is told once; a peak, whenever it comes back.
                with contextlib.suppress(psutil.Error):
                    now = psutil.Process(pid).memory_info().rss / 2**20
                    self._first[pid] = max(now, self._first[pid])
        self._since.clear()
        for pid in self._most:
            _forget_peak(pid)
        return found + self._moved()

    def _moved(self) -> list[str]:
        target = self._target
        found = [
            f"{path} was changed"
            for path, data in target.canaries.items()
            if not path.is_file() or path.read_bytes() != data
        ]
        extra = set(target.outside.iterdir()) - set(target.canaries)
        places = [target.folder, Path(tempfile.gettempdir()), Path.cwd()]
        walked = (
            Path(folder) / name
            for folder, folders, files in os.walk(target.folder)
            for name in (*folders, *files)
            if ESCAPED in name
        )
        top = (path for place in (*places, Path("/")) for path in place.glob(f"*{ESCAPED}*"))
        # S3 keeps an object under its key, in its own folder.
        inside = target.folder / "s3"
        escaped = {path for path in (*walked, *top, *extra) if not path.is_relative_to(inside)}
        return [*found, *(f"{path} was written" for path in sorted(escaped))]
