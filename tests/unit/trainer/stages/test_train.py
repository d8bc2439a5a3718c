"""The trainer's stage on real Parquet shards, with a folder in place of the object store."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from interrupted_job import InterruptedJob

from reclens.contracts import AutoencoderSpec, BprMfConfig, Progress, SasRecConfig
from reclens.errors import CorruptArtifact, InvalidInput
from reclens.platform.settings.models import WorkerSettings
from reclens.recommenders import build_recommender, save_recommender
from reclens.sae import (
    AutoencoderConfig,
    AutoencoderTrainer,
    Scorer,
    SparseAutoencoder,
    load_autoencoder,
    measure,
)
from reclens.sae.activations.sources import SequenceSource
from reclens_trainer.stages.train import run

REF = "activations/0123456789abcdef"
RECOMMENDER = "recommenders/0123456789abcdef"
SPLITS = np.array(["train", "train", "train", "construct", "verify", "test"])
CONFIG = AutoencoderConfig(n_latents=24, k=3, batch_size=64, n_epochs=3, learning_rate=0.01)
# It has thresholds besides weights.
BATCH_TOPK = AutoencoderConfig.parse({**CONFIG.canonical(), "kind": "batchtopk"})


class FolderStore:
    """Activations in a folder, and maybe the recommender they come from in another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recommender: Path | None = None
        self.site: dict[str, Any] | None = None

    def manifest(self, ref: str) -> Any:
        assert ref == REF
        names = sorted(path.name for path in self.folder.iterdir())
        objects = [SimpleNamespace(name=name) for name in names]
        return SimpleNamespace(objects=objects, spec={"site": self.site})

    def lineage(self, ref: str) -> dict[str, str]:
        assert ref == REF
        return {"recommender": RECOMMENDER}

    def fetch_all(self, ref: str) -> Path:
        assert ref == RECOMMENDER
        assert self.recommender is not None
        return self.recommender

    def fetch(self, ref: str, name: str) -> Path:
        assert ref == REF
        return self.folder / name


class FolderJob:
    """Keeps what a stage adds; drives without interruption."""

    seconds = 2.5

    def __init__(self, store: FolderStore, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.objects: dict[str, bytes] = {}
        self.settings = WorkerSettings(device="cpu")
        self.devices: list[str] = []
        self.told: list[Progress] = []
        folder.mkdir()

    def add(self, path: Path, name: str | None = None) -> None:
        self.objects[name or path.name] = path.read_bytes()

    def computes_on(self, device: str) -> None:
        self.devices.append(device)

    def progress(self, progress: Progress) -> None:
        self.told.append(progress)

    def drive(self, trainer: Any) -> None:
        for progress in trainer.steps():
            self.progress(progress)


def write_shard(path: Path, x: np.ndarray, splits: np.ndarray, first_row: int) -> None:
    ids = [f"u{first_row + i}" for i in range(len(x))]
    table = pa.table(
        {
            "user_id": ids,
            "split": splits.tolist(),
            "origin": ["history" if i % 2 else "learned" for i in range(len(ids))],
            "context": [[f"before-{i}", f"last-{i}"] for i in ids],
            "representation": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1]),
            "top_items": [[f"best-{i}"] for i in ids],
            "top_scores": pa.array([[1.0]] * len(ids), pa.list_(pa.float32())),
        }
    )
    pq.write_table(table, path)


@pytest.fixture
def activations() -> np.ndarray:
    """700 correlated activations, 8 wide, off centre and not of unit scale."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(700, 5)) @ rng.normal(size=(5, 8)) * 3 + rng.normal(size=8) * 10
    return x.astype(np.float32)


@pytest.fixture
def case(activations: np.ndarray, tmp_path: Path) -> tuple[FolderJob, np.ndarray, np.ndarray]:
    """700 cases in three shards; the middle one holds train users only."""
    folder = tmp_path / "activations"
    folder.mkdir()
    splits = np.resize(SPLITS, 700)
    splits[300:400] = "train"
    for i, (a, b) in enumerate([(0, 300), (300, 400), (400, 700)]):
        write_shard(folder / f"shard-{i:05d}.parquet", activations[a:b], splits[a:b], a)
    (folder / "users.json").write_text("{}")
    return FolderJob(FolderStore(folder), tmp_path / "job"), activations, splits


def go(job: FolderJob, config: AutoencoderConfig = CONFIG) -> dict[str, Any]:
    return run(AutoencoderSpec(activations=REF, config=config), job)  # type: ignore[arg-type]


def trained(job: FolderJob, folder: Path) -> SparseAutoencoder:
    """The autoencoder among the objects of a job."""
    for name in ("config.json", "weights.safetensors"):
        (folder / name).write_bytes(job.objects[name])
    return load_autoencoder(folder)


def read(data: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(data))


def test_the_stage_trains_on_train_users_and_measures_the_others(
    case: tuple[FolderJob, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    job, x, splits = case
    metrics = go(job)
    assert job.devices == ["cpu"]
    assert sorted(job.objects) == [
        "codes-00000.parquet",
        "codes-00001.parquet",
        "config.json",
        "latents.parquet",
        "weights.safetensors",
    ]
    train = splits == "train"
    assert metrics["activations_seen"] == 3 * train.sum()
    assert set(metrics) == {
        *("fvu", "l0", "dead_fraction", "always_on_fraction", "cosine", "random_fvu"),
        *("n_latents", "k", "d_model", "activations_seen", "curve", "variance"),
        "training_seconds",
    }
    assert metrics["training_seconds"] == job.seconds
    json.dumps(metrics, allow_nan=False)

    sae = trained(job, tmp_path)
    np.testing.assert_allclose(sae.input_mean, x[train].mean(0), rtol=1e-5)
    assert metrics["fvu"] == pytest.approx(measure(sae, SequenceSource([x[~train]])).fvu)
    assert metrics["fvu"] < 0.5 < metrics["random_fvu"]
    deviations = np.square(x[~train] - x[~train].mean(0)).sum(0)
    loudest = metrics["variance"]["loudest"][0]
    assert loudest["dimension"] == deviations.argmax()
    assert loudest["share"] == pytest.approx(deviations.max() / deviations.sum(), rel=1e-4)


def test_it_is_told_how_far_it_is_after_the_training(
    case: tuple[FolderJob, np.ndarray, np.ndarray],
) -> None:
    job, _, _ = case
    go(job)
    told = {
        stage: [one.step for one in job.told if one.stage == stage]
        for stage in ("report", "latents", "encode")
    }
    # Three shards: two passes measure it and its control, two its latents.
    assert told == {"report": [*range(7)], "latents": [*range(7)], "encode": [0, 1, 2]}


@pytest.mark.parametrize("config", [CONFIG, BATCH_TOPK], ids=["topk", "batchtopk"])
@pytest.mark.parametrize("leave_after", [1, 25])
def test_left_and_taken_up_again_it_ends_with_the_same_bytes(
    case: tuple[FolderJob, np.ndarray, np.ndarray],
    tmp_path: Path,
    config: AutoencoderConfig,
    leave_after: int,
) -> None:
    whole, spec = case[0], AutoencoderSpec(activations=REF, config=config)
    expected = go(whole, config)
    left = InterruptedJob(whole.store, tmp_path / "left", leave_after)
    metrics = left.run(run, spec)
    steps = expected["activations_seen"] // config.batch_size
    # Besides the steps, two parts and three shards.
    assert left.attempts > (steps + 5) // (leave_after + 1)
    assert {**metrics, "training_seconds": whole.seconds} == expected
    assert left.objects == whole.objects
    # What is stored is not made again.
    assert sorted(left.added) == sorted(whole.objects)


def test_codes_list_what_fires_for_each_held_out_case(
    case: tuple[FolderJob, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    job, x, splits = case
    go(job)
    sae = trained(job, tmp_path)
    codes = pa.concat_tables(read(job.objects[f"codes-0000{i}.parquet"]) for i in range(2))
    assert codes.schema == pa.schema(
        {
            "user_id": pa.string(),
            "split": pa.string(),
            "origin": pa.string(),
            "context": pa.list_(pa.string()),
            "top_items": pa.list_(pa.string()),
            "latents": pa.list_(pa.int32()),
            "values": pa.list_(pa.float32()),
        }
    )
    held_out = np.flatnonzero(splits != "train")
    assert codes["user_id"].to_pylist() == [f"u{i}" for i in held_out]
    assert codes["split"].to_pylist() == splits[held_out].tolist()
    assert set(codes["origin"].to_pylist()) == {"history", "learned"}
    assert codes["context"][0].as_py() == ["before-u3", "last-u3"]
    assert codes["top_items"][-1].as_py() == [f"best-u{held_out[-1]}"]
    dense = sae.encode(torch.from_numpy(x[held_out])).dense(24).numpy()
    for row, latents, values in zip(
        dense, codes["latents"].to_pylist(), codes["values"].to_pylist(), strict=True
    ):
        assert sorted(latents) == np.flatnonzero(row).tolist()
        assert values == sorted(values, reverse=True)
        np.testing.assert_allclose(row[latents], values, rtol=1e-4, atol=1e-5)


def test_latent_statistics_are_over_the_train_users(
    case: tuple[FolderJob, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    job, x, splits = case
    go(job)
    sae = trained(job, tmp_path)
    latents = read(job.objects["latents.parquet"])
    assert latents.schema == pa.schema(
        {
            "latent": pa.int32(),
            "density": pa.float64(),
            "mean": pa.float32(),
            "p99": pa.float32(),
            "maximum": pa.float32(),
        }
    )
    dense = sae.encode(torch.from_numpy(x[splits == "train"])).dense(24).numpy()
    np.testing.assert_allclose(latents["density"], (dense > 0).mean(0))
    np.testing.assert_allclose(latents["maximum"], dense.max(0), rtol=1e-4, atol=1e-5)
    assert latents["latent"].to_pylist() == list(range(24))


PREDICTION_AWARE = CONFIG.model_copy(update={"prediction_coefficient": 5.0})


def test_the_prediction_aware_term_goes_through_the_recommender_of_the_activations(
    case: tuple[FolderJob, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    job, x, splits = case
    model = build_recommender(BprMfConfig(d_model=8), n_users=3, n_items=30, seed=0)
    save_recommender(model, tmp_path / "recommender")
    job.store.recommender = tmp_path / "recommender"
    go(job, PREDICTION_AWARE)

    scorer = Scorer(model.item_weights().detach(), model.item_biases().detach())
    expected = {}
    for name, config, through in (("with", PREDICTION_AWARE, scorer), ("without", CONFIG, None)):
        shards = [x[a:b][splits[a:b] == "train"] for a, b in ((0, 300), (300, 400), (400, 700))]
        trainer = AutoencoderTrainer(SequenceSource(shards), config, through)
        list(trainer.steps())
        trainer.sae.save(tmp_path / name)
        expected[name] = (tmp_path / name / "weights.safetensors").read_bytes()
    assert job.objects["weights.safetensors"] == expected["with"] != expected["without"]


def test_the_prediction_aware_term_needs_the_site_that_items_are_scored_from(
    case: tuple[FolderJob, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    job, _, _ = case
    model = build_recommender(SasRecConfig(d_model=8), n_users=3, n_items=30, seed=0)
    save_recommender(model, tmp_path / "recommender")
    job.store.recommender = tmp_path / "recommender"
    job.store.site = {"module": "encoder.blocks.0", "position": "last"}
    with pytest.raises(InvalidInput, match=r"encoder.blocks.0\[last\]") as caught:
        go(job, PREDICTION_AWARE)
    assert caught.value.field == "config.prediction_coefficient"
    assert not job.objects


def test_half_precision_shards_are_read(
    case: tuple[FolderJob, np.ndarray, np.ndarray],
) -> None:
    job, x, splits = case
    write_shard(
        job.store.folder / "shard-00001.parquet",
        x[300:400].astype(np.float16),
        splits[300:400],
        300,
    )
    assert go(job)["fvu"] < 0.5


@pytest.mark.parametrize("row", [401, 405], ids=["train", "test"])
def test_a_value_that_is_not_finite_is_a_corrupt_artifact(
    case: tuple[FolderJob, np.ndarray, np.ndarray], row: int
) -> None:
    job, x, splits = case
    x[row, 3] = np.nan
    write_shard(job.store.folder / "shard-00002.parquet", x[400:], splits[400:], 400)
    with pytest.raises(CorruptArtifact, match=f"shard-00002.parquet, row {row - 400}"):
        go(job)
    assert not job.objects


def test_no_train_users_is_said(case: tuple[FolderJob, np.ndarray, np.ndarray]) -> None:
    job, x, _ = case
    for i, (a, b) in enumerate([(0, 300), (300, 400), (400, 700)]):
        write_shard(job.store.folder / f"shard-{i:05d}.parquet", x[a:b], np.full(b - a, "test"), a)
    with pytest.raises(InvalidInput, match="no activations to train on"):
        go(job)
