"""Evaluations and imports that are left and taken up again end with the same bytes."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from interrupted_job import InterruptedJob
from labelled_at_once import label_latents

from reclens.concepts.evidence.cases import read_cases
from reclens.concepts.labels.table import write_concepts
from reclens.contracts import (
    AutoencoderConfig,
    AutoencoderSpec,
    BprMfConfig,
    CaptureSpec,
    ConceptsOptions,
    ConceptsSpec,
    DatasetSpec,
    EvaluationSpec,
    JobSpec,
    Progress,
    RecommenderSpec,
)
from reclens.contracts.tables import CONCEPTS
from reclens.data import Dataset, import_dataset, write_dataset
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter, codes_of, scale_of
from reclens.recommenders import build_recommender, save_recommender
from reclens_recommender.stages import capture, dataset, evaluate
from reclens_trainer.stages import train as autoencoder

SHARES = {"train": 0.4, "construct": 0.2, "verify": 0.2, "test": 0.2}


class World:
    """Everything upstream of an evaluation, made here."""

    def __init__(self, store: ArtifactStore, folder: Path) -> None:
        self.store = store
        self.folder = folder

    def commit(self, spec: JobSpec, objects: dict[str, bytes]) -> str:
        writer = ArtifactWriter(self.store, spec)
        writer.pin_inputs()
        for name, content in objects.items():
            (self.folder / "object").write_bytes(content)
            writer.add(self.folder / "object", name)
        return writer.commit({}, seconds=0.0).artifact

    def run(self, stage: Any, spec: JobSpec) -> str:
        job = InterruptedJob(self.store, self.folder / spec.artifact_ref())
        job.run(stage, spec)
        return self.commit(spec, job.objects)

    def files(self, folder: str, names: list[str]) -> dict[str, bytes]:
        return {name: (self.folder / folder / name).read_bytes() for name in names}


@pytest.fixture
def spec(
    artifact_store: ArtifactStore, tmp_path: Path, cycle: Dataset, bprmf_config: BprMfConfig
) -> EvaluationSpec:
    """An evaluation whose inputs are there."""
    world = World(artifact_store, tmp_path)
    n_items = cycle.n_items
    tags = [["even" if item % 2 == 0 else "odd", f"tens{item // 10}"] for item in range(n_items)]
    items = replace(cycle.items, titles=[f"Item {item}" for item in range(n_items)], tags=tags)
    data = replace(cycle, items=items)
    source = world.commit(
        DatasetSpec(k_core=41), world.files("data", write_dataset(data, tmp_path / "data"))
    )
    model = build_recommender(bprmf_config, data.n_users, n_items, seed=0)
    recommender = RecommenderSpec(dataset=source, model=bprmf_config, seed=41)
    (tmp_path / "model").mkdir()
    world.commit(recommender, world.files("model", save_recommender(model, tmp_path / "model")))
    captured = CaptureSpec.parse(
        {"recommender": recommender.artifact_ref(), "folds": 3, "shares": SHARES, "top_k": 5}
    )
    world.run(capture.run, captured)
    config = AutoencoderConfig(n_latents=16, k=4, n_epochs=2, batch_size=64)
    dictionary = AutoencoderSpec(activations=captured.artifact_ref(), config=config)
    sae = world.run(autoencoder.run, dictionary)
    construct, verify = (
        read_cases(codes_of(artifact_store, sae), split, items.ids, 16, max_cases=10_000, seed=0)
        for split in ("construct", "verify")
    )
    options = ConceptsOptions()
    labelling = label_latents(
        construct, verify, items, scale_of(artifact_store, sae), options=options
    )
    write_concepts(labelling.rows, tmp_path / CONCEPTS.file)
    concepts = ConceptsSpec(autoencoder=sae, dataset=source)
    ref = world.commit(concepts, world.files(".", [CONCEPTS.file]))
    return EvaluationSpec.parse({"autoencoder": sae, "concepts": ref, "max_users": 30})


def test_an_interrupted_evaluation_ends_with_the_same_figures(
    artifact_store: ArtifactStore,
    tmp_path: Path,
    spec: EvaluationSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluate, "_USERS", 7)
    whole = InterruptedJob(artifact_store, tmp_path / "whole")
    expected = json.loads(json.dumps(whole.run(evaluate.run, spec)))
    assert len(whole.objects) == 4
    for leave_after in (1, 3):
        left = InterruptedJob(artifact_store, tmp_path / f"left-{leave_after}", leave_after)
        metrics = json.loads(json.dumps(left.run(evaluate.run, spec)))
        assert left.attempts > 3
        assert metrics == expected
        assert left.objects == whole.objects
        # What is stored is not made again.
        assert sorted(left.added) == sorted(whole.objects)


def table_spec(folder: Path) -> DatasetSpec:
    table = folder / "table.csv"
    table.write_text(
        "user_id,item_id,timestamp\n" + "".join(f"u{n % 9},i{n % 7},{n}\n" for n in range(60))
    )
    return DatasetSpec.parse(
        {
            "name": "table",
            "source": {"format": "table", "path": str(table)},
            "split": {"kind": "ratio"},
        }
    )


def test_reading_tells_what_it_has_computed_and_nothing_where_it_is_stuck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    looks = iter([0.0, 9.9, 12.0, 12.0, 12.5, 41.0, 3599.0, 3700.0])
    looked = threading.Event()

    class Job(InterruptedJob):
        def progress(self, progress: Progress) -> None:
            told.append((progress.stage, progress.step))

    def spent() -> float:
        now = next(looks, None)
        if now is None:
            looked.set()
        return 1e6 if now is None else now

    def read(*arguments: Any) -> Any:
        assert looked.wait(60)
        return import_dataset(*arguments)

    monkeypatch.setattr(dataset, "import_dataset", read)
    monkeypatch.setattr(dataset, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(dataset, "time", SimpleNamespace(process_time=spent))
    job = Job(None, tmp_path / "job")
    job.run(dataset.run, table_spec(tmp_path))
    assert [step for stage, step in told if stage == "read"] == [10, 40, 3590]
    assert job.objects


def test_an_interrupted_import_stores_what_is_missing(tmp_path: Path) -> None:
    spec = table_spec(tmp_path)
    whole = InterruptedJob(None, tmp_path / "whole")
    expected = whole.run(dataset.run, spec)
    assert whole.attempts == 1
    left = InterruptedJob(None, tmp_path / "left", leave_after=1)
    assert left.run(dataset.run, spec) == expected
    assert left.objects == whole.objects
    assert left.attempts == len(whole.objects) + 1
    assert left.added == whole.added
