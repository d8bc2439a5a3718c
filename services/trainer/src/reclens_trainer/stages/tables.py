"""Tables of an autoencoder artifact: statistics of its latents, and the codes of users."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from reclens.contracts.tables import CODE_SHARD, LATENTS
from reclens.sae.analysis.metrics import encode_rows

if TYPE_CHECKING:
    from reclens.sae import LatentStatistics, SparseAutoencoder
    from reclens_trainer.stages.activations import ActivationShards

CASE_COLUMNS: Final = ["user_id", "split", "origin", "context", "top_items"]


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
