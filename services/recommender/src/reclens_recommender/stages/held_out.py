"""What the evaluation reads of the users that an autoencoder was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reclens.contracts.tables import SERVED_SPLITS
from reclens.contracts.tables.cases import representation_width
from reclens.contracts.tables.table import UNREADABLE
from reclens.errors import CorruptArtifact
from reclens.sae import SparseAutoencoder, measure


def split_of_user(shards: Sequence[Path]) -> dict[str, str]:
    """Division of every user whose codes are stored."""
    table = _read(shards, ["user_id", "split"])
    pairs = table.group_by(["user_id", "split"]).aggregate([])
    return dict(zip(pairs["user_id"].to_pylist(), pairs["split"].to_pylist(), strict=True))


def representations(shards: Sequence[Path], split: str) -> np.ndarray:
    """Representations of the users of one division in stored order, float32 [n_cases, d_model]."""
    return _rows(_read(shards, ["representation"], [("split", "=", split)]))


def count_origins(shards: Sequence[Path]) -> dict[str, dict[str, int]]:
    """``cases`` and ``users`` whose codes are stored, by origin of the representation."""
    counted = (
        _read(shards, ["user_id", "origin"])
        .group_by("origin")
        .aggregate([("user_id", "count"), ("user_id", "count_distinct")])
    )
    return {
        row["origin"]: {"cases": row["user_id_count"], "users": row["user_id_count_distinct"]}
        for row in counted.to_pylist()
    }


class OriginShards:
    """Held-out representations of one origin as an `ActivationSource`.

    Args:
        shards: activation shards.
        origin: ``history``, ``learned`` or ``folded``.
    """

    def __init__(self, shards: Sequence[Path], origin: str) -> None:
        self._shards = shards
        self._origin = origin

    def __len__(self) -> int:
        return len(self._shards)

    def load(self, i: int) -> np.ndarray:
        """float32 [rows, d_model] of shard ``i``."""
        wanted = [("split", "in", SERVED_SPLITS), ("origin", "=", self._origin)]
        return _rows(_read(self._shards[i : i + 1], ["representation"], wanted))


def measure_origins(
    sae: SparseAutoencoder, codes: Sequence[Path], activations: Sequence[Path]
) -> dict[str, dict[str, Any]]:
    """Cases and users by origin and, where there are several, how well each is reconstructed.

    A few learned vectors beside many folded ones would not show in figures over all.

    Args:
        sae: the autoencoder.
        codes: its code shards.
        activations: the shards that it was trained on and measured on.
    """
    found: dict[str, dict[str, Any]] = {**count_origins(codes)}
    if len(found) > 1:
        for origin, counts in found.items():
            counts.update(asdict(measure(sae, OriginShards(activations, origin))))
    return found


def _read(
    shards: Sequence[Path], columns: list[str], filters: list[tuple[str, str, Any]] | None = None
) -> pa.Table:
    try:
        return pq.read_table(
            list(shards),
            columns=columns,
            filters=filters,
            # Folder names like a=b are no columns.
            partitioning=None,  # pyright: ignore[reportArgumentType] - its default alone is declared
        )
    except UNREADABLE as error:
        raise CorruptArtifact(
            f"its {len(shards)} shards cannot be read ({error}).",
            field="shards",
            remedy="make the activations and the autoencoder again.",
        ) from error


def _rows(table: pa.Table) -> np.ndarray:
    column = table["representation"].combine_chunks()
    width = representation_width(column.type)
    values = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, width).astype(np.float32)
