"""Reads what is locked, and what depends on what: of projects here, and of what is installed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))
# What each lock is for that is not a service's: requirements, or the file that has them.
AUDIENCES: dict[str, list[str] | str] = {
    "build": ["pip", "setuptools", "wheel"],
    "runtime": "requirements.txt",
    "development": "requirements-dev.txt",
    "index": ["reclens[index]"],
    "embedding": ["reclens[embedding]"],
    "flower": ["celery[redis]", "flower"],
    "parity": "tests/parity/requirements.txt",
    "llm": "tests/llm/requirements.txt",
    "llm-server": [],  # each for itself, without what they depend on
}
_LINE = re.compile(
    r"^(?P<name>[a-z0-9.-]+)==(?P<version>[^\s;]+)"
    r"(?: ; (?P<marker>[^\\\n]+?))?(?P<hashes>(?: \\\n +\S+)*)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock, under its canonical name."""

    name: str
    version: str
    hashes: tuple[str, ...]
    """SHA-256 of each of its files, as hexadecimal digits."""
    marker: str | None
    """Where it is installed; None is everywhere."""

    @property
    def installed_here(self) -> bool:
        """Whether this Python on this machine is one that it is for."""
        return self.marker is None or Marker(self.marker).evaluate()


def locked(lock: str) -> list[Locked]:
    """The packages of ``locks/<lock>.txt``.

    Raises:
        ValueError: a line of it is no package at one version.
    """
    text = (ROOT / "locks" / f"{lock}.txt").read_text()
    found = [
        Locked(
            name=line["name"],
            version=line["version"],
            hashes=tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", line["hashes"])),
            marker=line["marker"],
        )
        for line in _LINE.finditer(text)
    ]
    if len(found) != len(re.findall(r"^[^\s#]", text, re.MULTILINE)):
        raise ValueError(f"locks/{lock}.txt has lines that pin no version")
    return found


def project(folder: Path) -> tuple[str, dict[str, list[str]]]:
    """A project's name and what it depends on, by extra; "" is what it does without any."""
    table = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return table["name"], {"": table["dependencies"], **table.get("optional-dependencies", {})}


PROJECTS = dict(
    project(folder) for folder in (ROOT / "shared", *(ROOT / "services" / s for s in SERVICES))
)


def wanted(lock: str) -> list[str]:
    """The requirements that the lock is for, projects of this repository among them."""
    if lock in SERVICES:
        return [f"reclens-{lock}"]
    source = AUDIENCES[lock]
    return list(_lines(ROOT / source)) if isinstance(source, str) else source


def _lines(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            yield from _lines(path.parent / line.removeprefix("-r "))
        elif line.startswith("-e "):
            folder, bracket, extras = line.removeprefix("-e ").partition("[")
            yield project(ROOT / folder)[0] + bracket + extras
        elif line and not line.startswith("#"):
            yield line


def dependencies(requirement: Requirement) -> list[Requirement]:
    """What it depends on here: a project by its file, a package as it is installed.

    Raises:
        importlib.metadata.PackageNotFoundError: it is neither.
    """
    extras = ["", *requirement.extras]
    if (name := canonicalize_name(requirement.name)) in PROJECTS:
        lines = [line for extra in extras for line in PROJECTS[name].get(extra, [])]
    else:
        lines = metadata.requires(name) or []
    return [found for found in map(Requirement, lines) if _applies(found, extras)]


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


def closure(requirements: Iterable[str]) -> dict[str, list[Requirement]]:
    """Each package that these lead to, by canonical name, with all that is required of it.

    What is not installed leads no further.
    """
    found: dict[str, list[Requirement]] = {}
    todo = [one for one in map(Requirement, requirements) if _applies(one, [""])]
    seen = set[str]()
    while todo:
        requirement = todo.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
        try:
            todo += dependencies(requirement)
        except metadata.PackageNotFoundError:
            continue
    return found
