"""The gate on licences: it reads what packages say, and admits no more than its policy does."""

from __future__ import annotations

import subprocess
import sys
from email.message import Message
from importlib import metadata

import pytest
from licences import Policy, admitted, faults, licence
from locks import ROOT

POLICY = Policy(
    allowed=frozenset({"MIT", "Apache-2.0", "BSD-3-Clause"}),
    names={"BSD": "BSD-3-Clause", "MIT License": "MIT", "Dual License": ""},
    exceptions={"bundle": {"licence": "MPL-2.0", "reason": "unchanged"}},
)


def package(name: str = "thing", *, classifiers: tuple[str, ...] = (), **fields: str):
    message = Message()
    message["Name"], message["Version"] = name, "1.0"
    for field, value in fields.items():
        message[field.replace("_", "-")] = value
    for classifier in classifiers:
        message["Classifier"] = f"License :: OSI Approved :: {classifier}"
    return message


BUNDLE = package("bundle", License_Expression="MPL-2.0")


@pytest.mark.parametrize(
    ("expression", "met"),
    [
        ("MIT", True),
        ("mit", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only WITH GCC-exception-3.1", False),
        ("MIT AND (GPL-2.0-only OR BSD-3-Clause)", True),
        ("(MIT AND GPL-2.0-only) OR GPL-3.0-only", False),
        # AND binds more tightly.
        ("MIT OR MIT AND GPL-3.0-only", True),
        ("GPL-3.0-only OR MIT AND GPL-3.0-only", False),
        ("free for all", False),
        ("", False),
    ],
)
def test_expressions(expression: str, met: bool):
    assert admitted(expression, POLICY.allowed) is met


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (package(License_Expression="MIT", License="GPL"), "MIT"),
        (package(License="BSD", classifiers=("GPL",)), "BSD-3-Clause"),
        # Free text that nobody has read counts as it stands.
        (package(License="GPL v3", classifiers=("MIT License",)), "GPL v3"),
        (package(License="Dual License", classifiers=("MIT License", "GPL")), "GPL AND MIT"),
        (package(License="MIT License\n\nPermission is", classifiers=("MIT License",)), "MIT"),
        (package(License="x" * 101, classifiers=("MIT License",)), "MIT"),
        (package(), ""),
    ],
)
def test_what_a_package_says_of_itself(given: metadata.PackageMetadata, said: str):
    assert licence(given, POLICY.names) == said


def test_what_is_not_admitted_is_named():
    packages = [
        BUNDLE,
        package("good", License_Expression="MIT"),
        package("copyleft", License_Expression="GPL-3.0-or-later"),
        package("silent"),
        package("other-bundle", License_Expression="MPL-2.0"),
    ]
    assert faults(packages, POLICY) == [
        "copyleft 1.0: GPL-3.0-or-later",
        "silent 1.0: names no licence",
        "other-bundle 1.0: MPL-2.0",
    ]


def test_an_exception_holds_for_its_licence_alone():
    changed = package("bundle", License_Expression="SSPL-1.0")
    assert faults([changed], POLICY) == [
        "bundle 1.0: SSPL-1.0",
        "bundle: its exception is not needed",
    ]


def test_an_exception_that_nothing_needs_is_a_fault():
    assert faults([], POLICY) == ["bundle: its exception is not needed"]


def test_every_exception_has_a_reason():
    for name, exception in Policy.read().exceptions.items():
        assert exception["reason"].endswith("."), name


def test_what_reclens_runs_with_is_admitted():
    done = subprocess.run(
        [sys.executable, "deploy/supply/licences.py"],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "deploy/supply/licences.py" in (ROOT / "Makefile").read_text()
