"""A model of one's own whose code changes under the same version: weights in other code."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from celery import Celery, Task
from outside_package import OutsidePackage, installed

from reclens.contracts import JobResult, ModuleConfig, RecommenderSpec
from reclens.errors import CorruptArtifact, MissingData, NotFound, VersionMismatch
from reclens.platform.jobs.runner import JobRunner
from reclens.platform.settings.models import WorkerSettings
from reclens.recommenders import build_recommender, load_recommender, save_recommender
from reclens.recommenders.registry import RECOMMENDERS
from reclens_recommender.stages import train

MODEL = """
import torch
from torch import nn
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender


class CornerModel(Recommender):
    site = ProbeSite("tower", position="row")
    reads_history = True

    def __init__(self, config, n_users, n_items):
        super().__init__(config, n_users, n_items)
        self.items, self.tower = nn.Embedding(n_items, 6), nn.Linear(6, 6)

    def represent(self, batch):
        present = (batch.history >= 0)[..., None]
        taken = (self.items(batch.history.clamp(min=0)) * present).sum(dim=1)
        return self.tower(taken / present.sum(dim=1))

    def item_weights(self):
        return self.items.weight
"""
PROJECT = """
[build-system]
requires = ["setuptools>=80"]
build-backend = "setuptools.build_meta"

[project]
name = "corner-models"
version = "3.2"

[project.entry-points."reclens.recommenders"]
corner = "corner_models.model:CornerModel"

[tool.setuptools]
packages = ["corner_models"]
"""
CONFIG = ModuleConfig(name="corner")


@pytest.fixture
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsidePackage]:
    files = {
        "pyproject.toml": PROJECT,
        "corner_models/__init__.py": "",
        "corner_models/model.py": MODEL,
    }
    with installed(files, tmp_path_factory) as package:
        yield package


@pytest.fixture
def edit(package: OutsidePackage) -> Callable[[str, str], None]:
    """Replace a text in the installed code, as a new process would see it."""

    def edit(old: str, new: str) -> None:
        path = package.site / "corner_models" / "model.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
        for name in [name for name in sys.modules if name.startswith("corner_models")]:
            del sys.modules[name]
        importlib.invalidate_caches()

    return edit


@pytest.fixture
def stored(package: OutsidePackage, tmp_path: Path) -> Path:
    model = build_recommender(CONFIG, 5, 30, seed=0).eval()
    names = save_recommender(model, tmp_path)
    assert names == ["config.json", "weights.safetensors", "samples.safetensors"]
    return tmp_path


Edit = Callable[[str, str], None]


def test_the_same_code_loads_and_its_source_is_told(stored: Path) -> None:
    assert type(load_recommender(stored)).__name__ == "CornerModel"
    source = RECOMMENDERS.source("corner")
    assert (source.package, source.version) == ("corner-models", "3.2")
    assert len(source.sha256) == 64


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("taken / present.sum(dim=1)", "taken", "gives other x"),
        ("batch.history >= 0", "batch.history[:, -9:].new_ones(len(batch.history), 1) > 0", "x"),
        ("return self.items.weight", "return self.items.weight.flip(0)", "gives other scores"),
        ("nn.Linear(6, 6)", "nn.Linear(6, 6, bias=False)", "cannot be built"),
        ("reads_history = True", "reads_history = True\n    max_length = 2", "x"),
        (
            "        present =",
            "        raise ZeroDivisionError\n        present =",
            "fails on sample cases",
        ),
    ],
)
def test_weights_are_not_served_through_other_code(
    stored: Path, edit: Edit, old: str, new: str, told: str
) -> None:
    edit(old, new)
    with pytest.raises(VersionMismatch, match=told) as caught:
        load_recommender(stored)
    assert "corner-models 3.2 was installed, now corner-models 3.2" in caught.value.message
    assert "--force" in caught.value.remedy


def test_code_that_answers_alike_is_loaded(stored: Path, edit: Edit) -> None:
    edit("def represent", "# Said otherwise.\n    def represent")
    load_recommender(stored)


def test_an_artifact_that_other_code_made_is_not_taken_for_done(
    package: OutsidePackage, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = RecommenderSpec(dataset="datasets/" + 16 * "0", model=CONFIG)
    metrics: dict[str, Any] = {"source": RECOMMENDERS.source("corner")._asdict()}
    train.check_reuse(spec, metrics)
    train.check_reuse(spec, {})  # made before sources were noted
    edit("def represent", "# Said otherwise.\n    def represent")
    with pytest.raises(VersionMismatch, match="made by other code") as caught:
        train.check_reuse(spec, metrics)
    assert "--force" in caught.value.remedy
    train.check_reuse(RecommenderSpec(dataset="datasets/" + 16 * "0"), metrics)

    found = JobResult(artifact=spec.artifact_ref(), reused=True, seconds=0.0, metrics=metrics)
    monkeypatch.setattr(JobRunner, "found", lambda _self, _ref: found)
    monkeypatch.setattr(JobRunner, "runtime", None)
    with pytest.raises(VersionMismatch):
        JobRunner(Celery(), WorkerSettings).make(Task(), spec)


def test_samples_belong_to_the_artifact(stored: Path) -> None:
    data = (stored / "samples.safetensors").read_bytes()
    (stored / "samples.safetensors").write_bytes(data[:40])
    with pytest.raises(CorruptArtifact):
        load_recommender(stored)
    (stored / "samples.safetensors").unlink()
    with pytest.raises(MissingData):
        load_recommender(stored)


def test_every_source_file_counts(package: OutsidePackage) -> None:
    before = RECOMMENDERS.source("corner").sha256
    (package.site / "corner_models" / "notes.txt").write_text("no code")
    assert RECOMMENDERS.source("corner").sha256 == before
    (package.site / "corner_models" / "parts").mkdir()
    (package.site / "corner_models" / "parts" / "more.py").write_text("")
    assert RECOMMENDERS.source("corner").sha256 != before
    with pytest.raises(NotFound):
        RECOMMENDERS.source("none")


def test_half_precision_weights_are_held_to_their_own_rounding(stored: Path) -> None:
    model = build_recommender(CONFIG, 5, 30, seed=0).eval().to(torch.bfloat16)
    save_recommender(model, stored)
    load_recommender(stored)
