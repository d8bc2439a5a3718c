"""The planted world in the object store: all that a labelling reads, as if a pipeline made it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from planted_world import World
from safetensors.numpy import save_file

from reclens.concepts.evidence.cases import Cases
from reclens.concepts.labels.duplicates import CONFIG, WEIGHTS
from reclens.contracts import (
    AutoencoderConfig,
    AutoencoderSpec,
    CaptureSpec,
    DatasetSpec,
    JobSpec,
    PipelineSpec,
    RecommenderSpec,
    canonical_json,
)
from reclens.contracts.tables import LATENTS
from reclens.data.dataset import Dataset, Interactions, Users
from reclens.data.storage import write_dataset
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter

PLANTED = {"name": "planted", "source": {"format": "table", "path": "unused"}}


def pipeline(**concepts: object) -> PipelineSpec:
    """A pipeline over the planted world: every artifact before its concepts exists."""
    return PipelineSpec.parse({"release": "planted", "dataset": PLANTED, "concepts": concepts})


def commit_planted(world: World, store: ArtifactStore, folder: Path) -> None:
    """Commit data set, recommender, activations and autoencoder of `pipeline`."""
    specs: dict[str, type[JobSpec]] = {
        "dataset": DatasetSpec,
        "recommender": RecommenderSpec,
        "activations": CaptureSpec,
        "autoencoder": AutoencoderSpec,
    }
    for stage in pipeline().plan():
        if stage.name in specs:
            writer = ArtifactWriter(store, specs[stage.name].parse(stage.spec))
            made = folder / stage.name
            made.mkdir(parents=True)
            write_planted(world, stage.name, made)
            for path in sorted(made.iterdir()):
                writer.add(path)
            writer.commit({}, 0.0)


def write_planted(world: World, stage: str, folder: Path) -> None:
    """Write the objects of one stage's artifact; what nothing reads has none."""
    if stage == "dataset":
        _write_dataset(world, folder)
    if stage == "autoencoder":
        _write_codes(world, folder)


def _write_dataset(world: World, folder: Path) -> None:
    nobody = np.empty(0, np.int32)
    seen = Interactions(nobody, nobody, nobody.astype(np.int64), None, nobody.astype(np.uint8))
    write_dataset(Dataset(seen, world.items, Users([], [])), folder)


def _write_codes(world: World, folder: Path) -> None:
    for number, (split, cases) in enumerate(
        (("construct", world.construct), ("verify", world.verify))
    ):
        pq.write_table(_codes(world, split, cases), folder / f"codes-{number:05d}.parquet")
    p99 = pa.array(np.full(world.n_latents, 2.0), pa.float32())
    pq.write_table(pa.table({"p99": p99}), folder / LATENTS.file)
    config = AutoencoderConfig(d_model=world.n_latents, n_latents=world.n_latents, k=2)
    (folder / CONFIG).write_bytes(canonical_json(config.canonical()))
    directions = np.eye(world.n_latents, dtype=np.float32)
    save_file({"W_dec": directions}, folder / WEIGHTS)


def _codes(world: World, split: str, cases: Cases) -> pa.Table:
    codes = cases.activations
    return pa.table(
        {
            "user_id": pa.array(cases.user_ids.tolist()),
            "split": pa.array([split] * len(cases)),
            "top_items": pa.array(
                [[world.items.ids[item] for item in row] for row in cases.top_items]
            ),
            "latents": pa.array(
                [codes.indices[a:b].tolist() for a, b in pairwise(codes.indptr)],
                pa.list_(pa.int32()),
            ),
            "values": pa.array(
                [codes.data[a:b].tolist() for a, b in pairwise(codes.indptr)],
                pa.list_(pa.float32()),
            ),
        }
    )
