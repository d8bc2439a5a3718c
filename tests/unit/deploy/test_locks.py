"""The locks hold what the projects depend on, a package at one version, a file by its hash."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata

import pytest
from locks import AUDIENCES, PROJECTS, ROOT, SERVICES, closure, locked, wanted
from packaging.requirements import Requirement

LOCKS = sorted(path.stem for path in ROOT.glob("locks/*.txt") if path.stem != "torch")


def versions(lock: str) -> dict[str, str]:
    """The version of each package that the lock installs here."""
    return {package.name: package.version for package in locked(lock) if package.installed_here}


def test_there_is_a_lock_for_everyone_who_installs():
    assert set(LOCKS) == {*SERVICES, *AUDIENCES}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_hashes(lock: str):
    packages = locked(lock)
    assert packages
    assert not [package.name for package in packages if not package.hashes]


@pytest.mark.parametrize("lock", LOCKS)
def test_all_that_is_depended_on_is_locked_at_a_version_that_is_asked_for(lock: str):
    have = versions(lock)
    for name, requirements in closure(wanted(lock)).items():
        if name in PROJECTS or name in ("torch", "torchvision"):
            continue
        assert name in have, f"{requirements}: run make lock"
        for requirement in requirements:
            assert requirement.specifier.contains(have[name], prereleases=True), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_a_package_has_the_version_that_is_tested(lock: str):
    tested = versions("development")
    for name, version in versions(lock).items():
        assert tested.get(name, version) == version, name


def test_pytorch_alone_is_without_hashes_at_the_version_that_the_distribution_asks_for():
    lines = (ROOT / "locks" / "torch.txt").read_text().splitlines()
    (line,) = (line for line in lines if not line.startswith("#"))
    assert line in PROJECTS["reclens"]["torch"]
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]
    (declared,) = configured["dependency-metadata"]
    assert line == f"{declared['name']}=={declared['version']}"
    for lock in LOCKS:
        names = {package.name for package in locked(lock)}
        assert not [name for name in names if name == "torch" or name.startswith("nvidia")]
    # What `make lock` is told of it is what the installed one says of itself.
    said = {Requirement(line).name for line in metadata.requires("torch") or [] if ";" not in line}
    assert said == {Requirement(line).name for line in declared["requires-dist"]}


@pytest.mark.parametrize(
    "path", ["Makefile", "services/Dockerfile", "deploy/monitoring/flower/Dockerfile"]
)
def test_nothing_else_comes_from_an_index(path: str):
    whole = (ROOT / path).read_text().replace("\\\n", " ")
    variables = dict(re.findall(r"^(\w+) := (.*)$", whole, re.MULTILINE))
    for _ in range(3):  # a variable in a variable
        whole = re.sub(r"\$\((\w+)\)", lambda found: variables.get(found[1], found[0]), whole)
    installs = [
        command
        for line in whole.splitlines()
        if not re.match(r"#|\w+ :?=", line)
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
