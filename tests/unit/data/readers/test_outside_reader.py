"""The page on readers: its package passes the suite, and is imported through the stage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from outside_package import OutsidePackage, files_of_page, installed

from reclens.contracts import DatasetSpec
from reclens.data import read_dataset
from reclens.data.reading import READERS
from reclens.errors import InvalidSpec, NotFound
from reclens.platform.datasets.obtain import obtain
from reclens.platform.settings.models import DataSettings, WorkerSettings
from reclens_recommender.stages import dataset as stage


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsidePackage]:
    files = {**files_of_page("reader.md"), "shop_logs/__init__.py": ""}
    with installed(files, tmp_path_factory) as package:
        yield package


def test_the_package_passes_the_suite(package: OutsidePackage) -> None:
    package.run_tests("tests")


@pytest.mark.usefixtures("package")
def test_its_format_is_imported_by_the_stage(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    rows = [{"shopper": f"s{n % 4}", "product": f"p{n % 5}", "at": n} for n in range(40)]
    (tmp_path / "clicks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = yaml.safe_load(files_of_page("reader.md")["import.yaml"].replace("FOLDER", str(tmp_path)))
    folder_job = SimpleNamespace(
        folder=made,
        add=lambda path: None,
        progress=lambda progress: None,
        drive=lambda stages: list(stages.steps()),
        settings=WorkerSettings(),
    )
    metrics = stage.run(DatasetSpec.parse(job["spec"]), cast("Any", folder_job))
    assert (metrics["users"], metrics["items"], metrics["interactions"]) == (4, 5, 40)
    assert metrics["source"] == "clicks"
    assert read_dataset(made).users.ids == ["s0", "s1", "s2", "s3"]


def test_a_format_that_is_not_installed_is_told_with_those_that_are() -> None:
    with pytest.raises(NotFound, match="fortran") as caught:
        READERS.load("fortran")
    assert caught.value.field == "source.format"
    assert "movielens" in str(caught.value.remedy)


def test_a_published_data_set_of_another_package_is_known_by_its_name(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with installed(files_of_page("dataset.md"), tmp_path_factory):
        spec = DatasetSpec.parse({"name": "shop"})
        assert spec.k_core == 5
        settings = DataSettings.model_validate({"shop": tmp_path})
        assert settings.folder("shop") == tmp_path
        for name in ("interactions.csv", "items.csv"):
            (tmp_path / name).write_bytes(b"")
        assert obtain("shop", tmp_path / "cache", settings.folder("shop")).folder == tmp_path
    with pytest.raises(InvalidSpec, match="choose one of"):
        DatasetSpec.parse({"name": "shop"})
