"""Whether every package that RecLens runs with has a licence that ``licences.toml`` admits.

    python deploy/supply/licences.py

It reads what installed packages say of themselves; what a package bundles without saying so is not
seen. Exit code 1, with a line a fault, where one is not admitted or an exception is not needed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from locks import SERVICES, locked
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.utils import canonicalize_name

RUNTIME = ("runtime", *SERVICES, "index", "embedding")
_LONGEST_NAME = 100  # what is longer is the licence's text


@dataclass(frozen=True, slots=True)
class Policy:
    """What is admitted; ``licences.toml`` is one."""

    allowed: frozenset[str]
    names: dict[str, str]
    exceptions: dict[str, dict[str, str]]

    @classmethod
    def read(cls) -> Policy:
        """The one that holds here."""
        table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
        return cls(frozenset(table["allowed"]), table["names"], table["exceptions"])


def licence(package: metadata.PackageMetadata, names: dict[str, str]) -> str:
    """The licence that a package gives itself: SPDX, else its own words, else "".

    Its expression counts before its field of free text, and that before its classifiers, which all
    hold where there are several.
    """
    if expression := package.get("License-Expression"):
        return expression
    field = (package.get("License") or "").strip()
    named = names.get(field, field)
    if named and "\n" not in named and len(named) <= _LONGEST_NAME:
        return named
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in package.get_all("Classifier") or []
        if line.startswith("License :: ")
    ]
    return " AND ".join(sorted({names.get(name, name) for name in classifiers} - {""}))


def admitted(expression: str, allowed: Iterable[str]) -> bool:
    """Whether an SPDX expression can be met by the allowed licences; what is no such one cannot."""
    try:
        expression = canonicalize_license_expression(expression)
    except InvalidLicenseExpression:
        return False
    # An exception to a licence only permits more.
    expression = re.sub(r" WITH [^\s()]+", "", expression)
    tokens = re.findall(r"[()]|[^\s()]+", expression)
    return _any(tokens, frozenset(allowed))


def _any(tokens: list[str], allowed: frozenset[str]) -> bool:
    met = _all(tokens, allowed)
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        met = _all(tokens, allowed) or met
    return met


def _all(tokens: list[str], allowed: frozenset[str]) -> bool:
    met = _one(tokens, allowed)
    while tokens and tokens[0] == "AND":
        tokens.pop(0)
        met = _one(tokens, allowed) and met
    return met


def _one(tokens: list[str], allowed: frozenset[str]) -> bool:
    token = tokens.pop(0)
    if token != "(":
        return token in allowed
    met = _any(tokens, allowed)
    tokens.pop(0)  # its closing bracket
    return met


def faults(packages: Iterable[metadata.PackageMetadata], policy: Policy) -> list[str]:
    """A sentence for each package that is not admitted, and for each exception without need."""
    found, needless = [], set(policy.exceptions)
    for package in packages:
        name, said = canonicalize_name(package["Name"]), licence(package, policy.names)
        exception = policy.exceptions.get(name)
        if exception is not None and exception["licence"] == said:
            needless.discard(name)
        elif not admitted(said, policy.allowed):
            found.append(f"{name} {package['Version']}: {said or 'names no licence'}")
    return found + [f"{name}: its exception is not needed" for name in sorted(needless)]


def main() -> int:
    """Print what is at fault among what images and `make demo` install."""
    names = {package.name for lock in RUNTIME for package in locked(lock) if package.installed_here}
    packages = [metadata.metadata(name) for name in sorted({*names, "torch"})]
    for fault in (found := faults(packages, Policy.read())):
        print(f"{fault}; deploy/supply/licences.toml", file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
