"""The package of the page on models of one's own, installed as its author would, and a store."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from reclens.contracts import DatasetSpec, JobSpec, Progress
from reclens.data import Dataset, Interactions, Items, Split, Users, write_dataset
from reclens.platform.settings.models import WorkerSettings
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "extend" / "recommender.md"
_BLOCK = re.compile(r"^```(?:python|toml|yaml) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
N_USERS, N_ITEMS = 60, 40


@pytest.fixture(scope="session")
def page() -> dict[str, str]:
    """The files of the page, by name."""
    return dict(_BLOCK.findall(PAGE.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def shop_models(page: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stranger's package, built and installed by pip into a folder on the path."""
    project, site = tmp_path_factory.mktemp("shop"), tmp_path_factory.mktemp("site")
    for name, text in page.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    (project / "shop_models" / "__init__.py").touch()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, *offline, str(project)], check=True, capture_output=True)
    sys.path[:0] = [str(site), str(project)]
    importlib.invalidate_caches()
    yield site
    sys.path.remove(str(site))
    sys.path.remove(str(project))


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """60 users who walk round 40 items in order: after item i comes item i + 1."""
    items = np.array([(user + step) % N_ITEMS for user in range(N_USERS) for step in range(8)])
    split = np.tile([Split.TRAIN] * 6 + [Split.VALID, Split.TEST], N_USERS).astype(np.uint8)
    return Dataset(
        Interactions(
            np.repeat(np.arange(N_USERS), 8).astype(np.int32),
            items.astype(np.int32),
            np.arange(len(items), dtype=np.int64),
            None,
            split,
        ),
        Items(
            [f"i{item}" for item in range(N_ITEMS)],
            [f"Item {item}" for item in range(N_ITEMS)],
            [[] for _ in range(N_ITEMS)],
            [None] * N_ITEMS,
            np.bincount(items[split == Split.TRAIN], minlength=N_ITEMS).astype(np.int32),
        ),
        Users([f"u{user}" for user in range(N_USERS)], [{} for _ in range(N_USERS)]),
    )


class Stages:
    """Runs stages as a worker does, from a specification in JSON to a committed artifact."""

    def __init__(self, store: ArtifactStore, folder: Path) -> None:
        self.store = store
        self.folder = folder

    def run(self, stage: Callable[[Any, Any], dict[str, Any]], spec: JobSpec) -> dict[str, Any]:
        """Run ``stage`` and commit what it made; its metrics."""
        spec = type(spec).parse(spec.model_dump_json())
        writer = ArtifactWriter(self.store, spec)
        metrics = stage(spec, _Job(self.store, writer, self.folder))
        writer.commit(metrics, seconds=0.0)
        return metrics

    def commit(self, spec: JobSpec, write: Callable[[Path], Any]) -> str:
        """Commit the files that ``write`` returns the names of."""
        writer = ArtifactWriter(self.store, spec)
        for name in write(self.folder):
            writer.add(self.folder / name)
        writer.commit({}, seconds=0.0)
        return writer.ref


class _Job:
    seconds = 0.0

    def __init__(self, store: ArtifactStore, writer: ArtifactWriter, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.add = writer.add
        self.settings = WorkerSettings(device="cpu")

    def computes_on(self, device: str) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        pass

    def drive(self, trainer: Any, segment_seconds: float | None = None) -> None:
        for _ in trainer.steps():
            pass


@pytest.fixture
def stages(artifact_store: ArtifactStore, tmp_path: Path) -> Stages:
    """Stages that share a store."""
    (tmp_path / "scratch").mkdir()
    return Stages(artifact_store, tmp_path / "scratch")


@pytest.fixture
def dataset_ref(stages: Stages, dataset: Dataset) -> str:
    """The walkers as an artifact."""
    spec = DatasetSpec(k_core=7)
    return stages.commit(spec, lambda folder: write_dataset(dataset, folder))


@pytest.fixture
def job_of(page: dict[str, str]) -> Callable[..., dict[str, Any]]:
    """The specification in a YAML file of the page, with its placeholders filled in."""

    def read(name: str, task: str, **placeholders: str) -> dict[str, Any]:
        text = page[name]
        for placeholder, value in placeholders.items():
            assert placeholder in text
            text = text.replace(placeholder, value)
        job = yaml.safe_load(text)
        assert job["task"] == task
        return job["spec"]

    return read
