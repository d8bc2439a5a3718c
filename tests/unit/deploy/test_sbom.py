"""The bills of materials are well-formed, and name all that is locked, with hash and licence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from locks import ROOT, locked
from sbom import SHIPPED, VERSION


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, str(ROOT / "deploy/supply/sbom.py"), str(folder)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return folder


def read(folder: Path, lock: str) -> dict[str, Any]:
    return json.loads((folder / f"reclens-{lock}-{VERSION}.cdx.json").read_text())


@pytest.mark.parametrize("lock", SHIPPED)
def test_it_is_well_formed(folder: Path, lock: str):
    text = (folder / f"reclens-{lock}-{VERSION}.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    # The validator would tell.
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace('"version"', '"v"'))


@pytest.mark.parametrize("lock", SHIPPED)
def test_it_names_every_locked_package_with_its_hashes_and_licence(folder: Path, lock: str):
    components = {one["name"]: one for one in read(folder, lock)["components"]}
    for package in locked(lock):
        if not package.installed_here:
            continue
        component = components.pop(package.name)
        assert component["version"] == package.version
        assert component["purl"] == f"pkg:pypi/{package.name}@{package.version}"
        (files,) = component["externalReferences"]
        assert {one["content"] for one in files["hashes"]} == set(package.hashes)
        assert component["licenses"]
    rest = {name for name in components if not name.startswith("reclens")}
    assert rest == (set() if lock in ("gateway", "labeler") else {"torch"})


def test_it_tells_what_depends_on_what(folder: Path):
    document = read(folder, "gateway")
    edges = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    assert edges["gateway"] == [f"reclens-gateway=={VERSION}"]
    assert edges[f"reclens-gateway=={VERSION}"] == [f"reclens=={VERSION}"]
    assert any(one.startswith("celery==") for one in edges[f"reclens=={VERSION}"])
    reached, todo = set[str](), ["gateway"]
    while todo:
        if (one := todo.pop()) not in reached:
            reached.add(one)
            todo += edges[one]
    assert reached - {"gateway"} == {one["bom-ref"] for one in document["components"]}


def test_it_is_the_same_every_time(folder: Path, tmp_path: Path):
    command = [sys.executable, str(ROOT / "deploy/supply/sbom.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    for lock in SHIPPED:
        assert read(tmp_path, lock) == read(folder, lock)
