"""Stage: captured activations to an autoencoder, its held-out report and its codes."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from reclens.contracts import AutoencoderSpec, Progress
from reclens.contracts.tables import (
    ACTIVATION_SHARD,
    CODE_SHARD,
    LATENTS,
    SERVED_SPLITS,
)
from reclens.contracts.tables.cases import representation_width
from reclens.device import device_label, resolve_device
from reclens.errors import CorruptArtifact, InvalidInput
from reclens.platform.jobs.context import JobContext
from reclens.platform.store.artifacts import ArtifactStore
from reclens.probing import ProbeSite
from reclens.recommenders import load_recommender
from reclens.sae import (
    AutoencoderTrainer,
    LatentStatistics,
    Scorer,
    SparseAutoencoder,
    latent_statistics,
    report,
)
from reclens.sae.activations.sources import first_bad_row
from reclens.sae.analysis.metrics import encode_rows

SHARD_PATTERN: Final = "shard-*.parquet"
CASE_COLUMNS: Final = ["user_id", "split", "origin", "context", "top_items"]
TRAIN_SPLITS = ("train",)
"""Users whose activations are trained on. The report is on all others."""


def run(spec: AutoencoderSpec, job: JobContext) -> dict[str, Any]:
    """Train on the ``train`` users, measure and encode the users of all other splits.

    Objects made: ``config.json``, ``weights.safetensors``, ``latents.parquet`` and one
    ``codes-NNNNN.parquet`` for each activation shard that has users to encode.

    Returns:
        The report, and ``training_seconds``: wall time until the last step over all segments,
        without measuring and encoding.

    Raises:
        InvalidInput: there is nothing to train on or to measure, widths differ, or the
            prediction-aware term is asked for at a site that no prediction layer follows.
        NotReady: the worker's device is not there.
        CorruptArtifact: an activation is missing or not finite; names shard and row.
    """
    trained = ActivationShards(job.store, spec.activations, TRAIN_SPLITS)
    held_out = ActivationShards(job.store, spec.activations, SERVED_SPLITS)

    device = resolve_device(job.settings.device)
    job.computes_on(device_label(device))
    trainer = AutoencoderTrainer(
        trained,
        spec.config,
        _scorer(spec, job),
        device=device,
        compiled=job.settings.compile,
    )
    job.drive(trainer)
    training_seconds = job.seconds
    sae = trainer.sae
    for name in sae.save(job.folder):
        job.add(job.folder / name)

    job.progress(Progress(stage="report"))
    measured = report(sae, held_out, activations_seen=trainer.activations_seen, curve=trainer.curve)
    job.progress(Progress(stage="latents"))
    write_latents(latent_statistics(sae, trained), job.folder / LATENTS.file)
    job.add(job.folder / LATENTS.file)

    written = 0
    for i in range(len(held_out)):
        job.progress(Progress(stage="encode", step=i, total=len(held_out), unit="shards"))
        path = job.folder / CODE_SHARD.file.format(written)
        if write_codes(sae, held_out, i, path):
            job.add(path)
            path.unlink()
            written += 1
    return {**measured.as_metrics(), "training_seconds": training_seconds}


def _scorer(spec: AutoencoderSpec, job: JobContext) -> Scorer | None:
    """The recommender's prediction layer, where training needs it."""
    if not spec.config.prediction_coefficient:
        return None
    store = job.store
    model = load_recommender(store.fetch_all(store.lineage(spec.activations)["recommender"]))
    site = store.manifest(spec.activations).spec["site"]
    if site is not None and ProbeSite(**site) != model.site:
        raise InvalidInput(
            f"the activations are of {site['module']}[{site['position']}], which items are not "
            "scored from.",
            field="config.prediction_coefficient",
            remedy="set it to 0, or capture at the model's own site.",
        )
    return Scorer(model.item_weights().detach(), model.item_biases().detach())


def write_latents(statistics: LatentStatistics, path: Path) -> None:
    """Write one row per latent, the table ``LATENTS``."""
    columns = {"latent": np.arange(len(statistics.density)), **vars(statistics)}
    LATENTS.write(LATENTS.build(columns), path)


def write_codes(sae: SparseAutoencoder, shards: ActivationShards, i: int, path: Path) -> int:
    """Encode the cases of shard ``i``; a table ``CODE_SHARD``.

    Only latents that fire are listed: a zero that TopK picked for want of better is not one.

    Returns:
        Rows written. With none there is no file.
    """
    cases, x = shards.rows(i, CASE_COLUMNS)
    if not len(x):
        return 0
    counts, latents, values = [], [], []
    for _, codes in encode_rows(sae, x):
        fires = codes.values > 0
        counts.append(fires.sum(1).cpu().numpy())
        latents.append(codes.indices[fires].cpu().numpy())
        values.append(codes.values[fires].cpu().numpy())
    offsets = pa.array(np.concatenate([[0], np.cumsum(np.concatenate(counts))]), pa.int32())
    table = cases.append_column(
        "latents", _lists(offsets, np.concatenate(latents), pa.int32())
    ).append_column("values", _lists(offsets, np.concatenate(values), pa.float32()))
    CODE_SHARD.write(table, path)
    return len(x)


def _lists(offsets: pa.Array, values: np.ndarray, kind: pa.DataType) -> pa.ListArray:
    return pa.ListArray.from_arrays(offsets, pa.array(values, kind))


class ActivationShards:
    """The activation shards of an artifact as an `ActivationSource`; nothing is kept in memory."""

    def __init__(self, store: ArtifactStore, ref: str, splits: Sequence[str]) -> None:
        self._ref = ref
        self._splits = list(splits)
        names = (entry.name for entry in store.manifest(ref).objects)
        self._names = sorted(fnmatch.filter(names, SHARD_PATTERN))
        self._paths = [store.fetch(ref, name) for name in self._names]

    def __len__(self) -> int:
        return len(self._paths)

    def load(self, i: int) -> np.ndarray:
        """Representations [rows, d_model] of shard ``i`` for the users of the splits.

        Raises:
            CorruptArtifact: a row is missing or not finite; names shard and row.
        """
        return self.rows(i, [])[1]

    def rows(self, i: int, columns: list[str]) -> tuple[pa.Table, np.ndarray]:
        """Those columns of shard ``i`` and the representations beside them, users of the splits.

        Raises:
            CorruptArtifact: as `load`.
        """
        wanted = {"split", "representation", *columns}
        table = ACTIVATION_SHARD.read(self._paths[i], sorted(wanted))
        x = self._representations(i, table.column("representation").combine_chunks())
        chosen = np.isin(table.column("split").to_numpy(), self._splits)
        cases = table.select(columns)
        return (cases, x) if chosen.all() else (cases.filter(pa.array(chosen)), x[chosen])

    def _representations(self, i: int, column: pa.FixedSizeListArray) -> np.ndarray:
        """All representations of shard ``i``, checked row by row."""
        if column.null_count:
            raise self._corrupt(i, _first_null(column), "has no representation")
        width = representation_width(column.type)
        values = column.flatten()
        if values.null_count:
            raise self._corrupt(i, _first_null(values) // width, "has a representation with gaps")
        x = values.to_numpy(zero_copy_only=False).reshape(-1, width)
        bad = first_bad_row(x)
        if bad is not None:
            raise self._corrupt(i, bad, "has a NaN or an infinity")
        return x

    def _corrupt(self, i: int, row: int, what: str) -> CorruptArtifact:
        return CorruptArtifact(
            f"{self._ref}/{self._names[i]}, row {row} {what}.",
            field=f"{self._names[i]}[{row}].representation",
            remedy="capture the activations again; look at the recommender if it comes back.",
        )


def _first_null(array: pa.Array) -> int:
    return int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
