"""What the evaluation reads of the users that an autoencoder was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reclens.contracts.tables import ACTIVATION_SHARD, CODE_SHARD, SERVED_SPLITS
from reclens.sae.analysis.metrics import measure
from reclens.sae.architectures.base import SparseAutoencoder


def split_of_user(shards: Sequence[Path]) -> dict[str, str]:
    """Division of every user whose codes are stored."""
    table = pa.concat_tables(CODE_SHARD.read(path, ["user_id", "split"]) for path in shards)
    users = table.group_by(["user_id", "split"]).aggregate([])
    return dict(zip(users["user_id"].to_pylist(), users["split"].to_pylist(), strict=True))


def representations(shards: Sequence[Path], split: str) -> np.ndarray:
    """Representations of the users of one division in stored order, float32 [n_cases, d_model]."""
    parts = []
    for path in shards:
        table = ACTIVATION_SHARD.read(path, ["split", "representation"])
        parts.append(_rows(table)[table["split"].to_numpy() == split])
    return np.concatenate(parts)


def count_origins(shards: Sequence[Path]) -> dict[str, dict[str, int]]:
    """``cases`` and ``users`` whose codes are stored, by origin of the representation."""
    table = pa.concat_tables(CODE_SHARD.read(path, ["user_id", "origin"]) for path in shards)
    counted = table.group_by("origin").aggregate(
        [("user_id", "count"), ("user_id", "count_distinct")]
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
        columns = ["split", "origin", "representation"]
        table = ACTIVATION_SHARD.read(self._shards[i], columns)
        wanted = pc.and_(  # type: ignore[attr-defined]
            pc.is_in(table["split"], pa.array(SERVED_SPLITS)),  # type: ignore[attr-defined]
            pc.equal(table["origin"], self._origin),  # type: ignore[attr-defined]
        )
        return _rows(table.filter(wanted))


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


def _rows(table: pa.Table) -> np.ndarray:
    column = table["representation"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    values = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, column.type.list_size).astype(np.float32)
