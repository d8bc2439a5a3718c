"""Parquet shards of captured cases; tables ``ACTIVATION_SHARD``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import pyarrow as pa

from reclens.contracts import CaptureSpec, UserSplit
from reclens.contracts.tables import ACTIVATION_SHARD
from reclens.recommenders import ORIGINS

if TYPE_CHECKING:
    from reclens.data import Dataset
    from reclens.recommenders import CaseBatch


class ShardWriter:
    """Gathers cases and writes a file whenever ``spec.shard_rows`` are together.

    Attributes:
        d_model: width of the representation; 0 before the first case.
        shards: files written so far.
    """

    def __init__(self, dataset: Dataset, split_of_user: np.ndarray, spec: CaptureSpec) -> None:
        self._user_ids = pa.array(dataset.users.ids, pa.string())
        self._item_ids = pa.array(dataset.items.ids, pa.string())
        self._splits = pa.array(get_args(UserSplit), pa.string())
        self._origins = pa.array(ORIGINS, pa.string())
        self._split_of_user = split_of_user
        self._spec = spec
        self._waiting: list[pa.Table] = []
        self._n_waiting = 0
        self.d_model = 0
        self.shards = 0

    def write(self, cases: CaseBatch, folder: Path) -> list[Path]:
        """Take ``cases`` in; returns the files that became full."""
        self._waiting.append(self._table(cases))
        self._n_waiting += len(cases)
        paths = []
        while self._n_waiting >= self._spec.shard_rows:
            paths.append(self._write_rows(self._spec.shard_rows, folder))
        return paths

    def flush(self, folder: Path) -> list[Path]:
        """Write what is left."""
        return [self._write_rows(self._n_waiting, folder)] if self._n_waiting else []

    def _write_rows(self, rows: int, folder: Path) -> Path:
        table = pa.concat_tables(self._waiting)
        path = folder / ACTIVATION_SHARD.file.format(self.shards)
        ACTIVATION_SHARD.write(table.slice(0, rows), path)
        self._waiting = [table.slice(rows)]
        self._n_waiting -= rows
        self.shards += 1
        return path

    def _table(self, cases: CaseBatch) -> pa.Table:
        self.d_model = cases.representation.shape[1]
        dtype = pa.float16() if self._spec.dtype == "float16" else pa.float32()
        numbers = cases.representation.astype(self._spec.dtype).ravel()
        found = cases.top_items >= 0
        return pa.table(
            {
                "user_id": self._user_ids.take(pa.array(cases.user_index)),
                "split": self._splits.take(pa.array(self._split_of_user[cases.user_index])),
                "origin": self._origins.take(pa.array(cases.origin)),
                "context": _lists(cases.contexts, self._item_ids),
                "representation": pa.FixedSizeListArray.from_arrays(
                    pa.array(numbers, dtype), self.d_model
                ),
                "top_items": _lists(
                    [row[keep] for row, keep in zip(cases.top_items, found, strict=True)],
                    self._item_ids,
                ),
                "top_scores": pa.ListArray.from_arrays(
                    _offsets(found.sum(axis=1)), pa.array(cases.top_scores[found], pa.float32())
                ),
            }
        )


def _lists(rows: list[np.ndarray], ids: pa.Array) -> pa.ListArray:
    """Lists of external ids from rows of indices."""
    indices = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
    lengths = np.array([len(row) for row in rows])
    return pa.ListArray.from_arrays(_offsets(lengths), ids.take(pa.array(indices)))


def _offsets(lengths: np.ndarray) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
