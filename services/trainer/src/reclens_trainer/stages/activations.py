"""Captured activations, shard by shard, for the users of some splits."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reclens.errors import CorruptArtifact
from reclens.platform.store.artifacts import ArtifactStore
from reclens.sae.activations.sources import first_bad_row

SHARD_PATTERN: Final = "shard-*.parquet"


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
        table = pq.read_table(self._paths[i], columns=list({"split", "representation", *columns}))
        x = self._representations(i, table.column("representation").combine_chunks())
        chosen = np.isin(table.column("split").to_numpy(), self._splits)
        cases = table.select(columns)
        return (cases, x) if chosen.all() else (cases.filter(pa.array(chosen)), x[chosen])

    def _representations(self, i: int, column: pa.FixedSizeListArray) -> np.ndarray:
        """All representations of shard ``i``, checked row by row."""
        if column.null_count:
            raise self._corrupt(i, _first_null(column), "has no representation")
        values = column.flatten()
        width = column.type.list_size
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
