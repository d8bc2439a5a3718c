"""Stage: captured activations to an autoencoder, its held-out report and its codes."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch

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
    build_autoencoder,
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
    training = Training(job, spec, trainer, trained, held_out)
    job.drive(training)
    return training.metrics


class Training:
    """Trains an autoencoder, then measures it and encodes with it, a shard after the other. It goes
    on at the trainer's step and, once it is trained, after the parts that are done.

    Attributes:
        metrics: of what is done.
    """

    def __init__(
        self,
        job: JobContext,
        spec: AutoencoderSpec,
        trainer: AutoencoderTrainer,
        trained: ActivationShards,
        held_out: ActivationShards,
    ) -> None:
        self.metrics: dict[str, Any] = {}
        self._job = job
        self._config = spec.config
        self._trainer = trainer
        self._trained = trained
        self._held_out = held_out
        self._sae: SparseAutoencoder | None = None
        self._done = self._written = 0

    def steps(self) -> Iterator[Progress]:
        """Train, and make what is not there yet."""
        if self._sae is None:
            yield from self._trainer.steps()
            self._sae = self._trainer.sae
            self.metrics = {
                "training_seconds": self._job.seconds,
                "activations_seen": self._trainer.activations_seen,
                "curve": self._trainer.curve,
            }
        sae, shards = self._sae, len(self._held_out)
        parts = [
            (Progress(stage="report"), self._measure),
            (Progress(stage="latents"), self._describe),
            *(
                (Progress(stage="encode", step=i, total=shards, unit="shards"), self._encode)
                for i in range(shards)
            ),
        ]
        for progress, part in parts[self._done :]:
            yield progress
            part(sae, progress.step)
            self._done += 1

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The trainer's state or, once it has ended, the autoencoder and what is done with it."""
        if self._sae is None:
            return self._trainer.state()
        weights = self._sae.state_dict().items()
        tensors = {name: one.cpu().numpy().copy() for name, one in weights}
        return tensors, {"done": self._done, "written": self._written, "metrics": self.metrics}

    def restore(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Take up such a state, also one of a trainer alone."""
        if "done" not in meta:
            self._trainer.restore(tensors, meta)
            return
        sae = build_autoencoder(self._config, len(tensors["b_dec"]))
        sae.load_state_dict({name: torch.from_numpy(one.copy()) for name, one in tensors.items()})
        self._sae = sae.to(resolve_device(self._job.settings.device)).eval().requires_grad_(False)
        self._done, self._written, self.metrics = meta["done"], meta["written"], meta["metrics"]

    # --- the parts -------------------------------------------------------------------------------

    def _measure(self, sae: SparseAutoencoder, _step: int) -> None:
        for name in sae.save(self._job.folder):
            self._job.add(self._job.folder / name)
        measured = report(
            sae,
            _Told(self._held_out, self._job, "report"),
            activations_seen=self.metrics["activations_seen"],
            curve=self.metrics["curve"],
        )
        self.metrics |= measured.as_metrics()

    def _describe(self, sae: SparseAutoencoder, _step: int) -> None:
        path = self._job.folder / LATENTS.file
        write_latents(latent_statistics(sae, _Told(self._trained, self._job, "latents")), path)
        self._job.add(path)

    def _encode(self, sae: SparseAutoencoder, shard: int) -> None:
        path = self._job.folder / CODE_SHARD.file.format(self._written)
        if write_codes(sae, self._held_out, shard, path):
            self._job.add(path)
            path.unlink()
            self._written += 1


class _Told:
    """A source whose reader says how many shards it has read: whoever reads on is not stuck."""

    def __init__(self, source: ActivationShards, job: JobContext, stage: str) -> None:
        self._source = source
        self._job = job
        self._stage = stage
        self._read = 0

    def __len__(self) -> int:
        return len(self._source)

    def load(self, i: int) -> np.ndarray:
        """Shard ``i``."""
        self._read += 1
        self._job.progress(Progress(stage=self._stage, step=self._read, unit="shards"))
        return self._source.load(i)


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
