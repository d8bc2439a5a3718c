"""Activations to train and to measure on, from a captured artifact or a plain array."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def read_activations(path: Path, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows held out, float32 [rows, d_model], in an order drawn by seed.

    Args:
        path: a folder of ``shard-*.parquet``, as `reclens artifacts get` writes it, where users
            that are not of the split ``train`` are held out; or an ``.npy`` file, of which a tenth
            of the rows is.
        seed: of the order.
    """
    if path.is_dir():
        x, trained = _shards(path)
    else:
        x = np.load(path).astype(np.float32)
        trained = np.arange(len(x)) < len(x) * 9 // 10
        x = x[np.random.default_rng(seed).permutation(len(x))]
    rng = np.random.default_rng(seed)
    return rng.permutation(x[trained]), rng.permutation(x[~trained])


def _shards(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow.parquet as pq

    parts, splits = [], []
    for path in sorted(folder.glob("shard-*.parquet")):
        table = pq.read_table(path, columns=["split", "representation"])
        column = table["representation"].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        parts.append(flat.reshape(-1, column.type.list_size).astype(np.float32))
        splits.append(table["split"].to_numpy())
    if not parts:
        raise SystemExit(f"{folder} has no shard-*.parquet")
    return np.concatenate(parts), np.concatenate(splits) == "train"
