"""The locks hold what the projects depend on, a package at one version, a file by its hash."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
LOCKS = sorted(path.stem for path in ROOT.glob("locks/*.txt") if path.stem != "torch")
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))
# What locks are of that belongs to no project.
OTHERS = {
    "build": ["pip", "setuptools", "wheel"],
    "flower": ["celery[redis]", "flower"],
    "index": ["reclens[index]"],
    "embedding": ["reclens[embedding]"],
    "llm-server": [],
}
_ENTRY = re.compile(
    r"^(?P<name>[a-z0-9.-]+)==(?P<version>[^\s;]+)"
    r"(?: ; (?P<marker>[^\\\n]+?))?(?P<hashes>(?: \\\n +\S+)*)$",
    re.MULTILINE,
)


@cache
def text(lock: str) -> str:
    return (ROOT / "locks" / f"{lock}.txt").read_text()


@cache
def versions(lock: str) -> dict[str, str]:
    """The version of each package that the lock installs here."""
    return {
        found["name"]: found["version"]
        for found in _ENTRY.finditer(text(lock))
        if not found["marker"] or Marker(found["marker"]).evaluate()
    }


def project(path: Path) -> tuple[str, dict[str, list[str]]]:
    """A project's name and what it depends on, by extra; `""` is the project without any."""
    table = tomllib.loads((path / "pyproject.toml").read_text())["project"]
    return table["name"], {"": table["dependencies"], **table.get("optional-dependencies", {})}


PROJECTS = dict(project(ROOT / path) for path in ("shared", *(f"services/{s}" for s in SERVICES)))


def lines(path: Path) -> Iterator[str]:
    """The requirements of a file and of those it includes, projects of this repository by name."""
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            yield from lines(path.parent / line.removeprefix("-r "))
        elif line.startswith("-e "):
            folder, extras = re.fullmatch(r"-e (?:\./)?([\w/]+)(\[.*\])?", line).groups()  # pyright: ignore[reportOptionalMemberAccess]
            yield project(ROOT / folder)[0] + (extras or "")
        elif line and not line.startswith("#"):
            yield line


def wanted(lock: str) -> list[str]:
    """What the lock is to install, as requirements."""
    if lock in SERVICES:
        return [f"reclens-{lock}"]
    if lock in OTHERS:
        return OTHERS[lock]
    files = {"runtime": "requirements.txt", "development": "requirements-dev.txt"}
    return list(lines(ROOT / files.get(lock, f"tests/{lock}/requirements.txt")))


def dependencies(requirement: Requirement) -> list[str]:
    """Of a project here, what its file says; of a package, what the installed one says."""
    extras = ["", *requirement.extras]
    name = canonicalize_name(requirement.name)
    if name in PROJECTS:
        return [line for extra in extras for line in PROJECTS[name].get(extra, [])]
    try:
        all_of_it = metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # of an environment apart
        return []
    return [line for line in all_of_it if applies(Requirement(line), extras)]


def applies(requirement: Requirement, extras: Iterable[str] = ("",)) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_pins_one_version_and_has_hashes(lock: str):
    entries = list(_ENTRY.finditer(text(lock)))
    assert len(entries) == len(re.findall(r"^[^\s#]", text(lock), re.MULTILINE))
    assert entries
    for entry in entries:
        hashes = entry["hashes"].replace("\\", "").split()
        assert hashes, entry["name"]
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes)


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock != "llm-server"])
def test_all_that_is_depended_on_is_locked_at_a_version_that_is_asked_for(lock: str):
    locked, seen = versions(lock), set[str]()
    todo = wanted(lock)
    while todo:
        line = todo.pop()
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if line in seen or not applies(requirement):
            continue
        seen.add(line)
        todo += dependencies(requirement)
        if name in PROJECTS or name in ("torch", "torchvision"):
            continue
        assert name in locked, f"{line}: run make lock"
        assert requirement.specifier.contains(locked[name], prereleases=True), line


@pytest.mark.parametrize("lock", LOCKS)
def test_a_package_has_the_version_that_is_tested(lock: str):
    tested = versions("development")
    for name, version in versions(lock).items():
        assert tested.get(name, version) == version, name


def test_every_service_has_a_lock():
    assert set(SERVICES) <= set(LOCKS)


def test_pytorch_alone_is_without_hashes_at_the_version_that_the_distribution_asks_for():
    (line,) = (line for line in text("torch").splitlines() if not line.startswith("#"))
    assert line in PROJECTS["reclens"]["torch"]
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]
    (declared,) = configured["dependency-metadata"]
    assert line == f"{declared['name']}=={declared['version']}"
    for lock in LOCKS:
        assert "torch" not in versions(lock)
        assert not re.search("^nvidia", text(lock), re.MULTILINE)
    # What is told to `make lock` is what the installed one says.
    said = {Requirement(line).name for line in metadata.requires("torch") or [] if ";" not in line}
    assert said == {Requirement(line).name for line in declared["requires-dist"]}


@pytest.mark.parametrize(
    "path", ["Makefile", "services/Dockerfile", "deploy/monitoring/flower/Dockerfile"]
)
def test_nothing_else_comes_from_an_index(path: str):
    whole = (ROOT / path).read_text().replace("\\\n", " ")
    variables = dict(re.findall(r"^(\w+) := (.*)$", whole, re.MULTILINE))
    for _ in range(3):
        whole = re.sub(r"\$\((\w+)\)", lambda found: variables.get(found[1], found[0]), whole)
    installs = [
        command
        for line in whole.splitlines()
        if "pip" in line and not re.match(r"#|\w+ :?=", line)
        for command in re.split("&&|;", line)
        if re.search(r"pip\b.* install ", command)
    ]
    assert installs
    for command in installs:
        of_this_repository = re.search(r" -e | \./| -r requirements\.txt", command)
        assert (
            "--require-hashes" in command
            or " -r locks/torch.txt" in command
            or (of_this_repository and "--no-deps" in command)
        ), command
