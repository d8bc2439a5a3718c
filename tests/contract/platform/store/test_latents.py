"""Codes and scales of an autoencoder in a real object store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reclens.contracts import AutoencoderSpec
from reclens.errors import NotFound
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter, codes_of, scale_of

ACTIVATIONS = f"activations/{7:016x}"


def test_shards_come_in_their_order_and_nothing_else_with_them(
    artifact_store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Its lineage is no matter here, and would have to exist.
    monkeypatch.setattr(AutoencoderSpec, "input_refs", lambda _: {})
    writer = ArtifactWriter(artifact_store, AutoencoderSpec.parse({"activations": ACTIVATIONS}))
    for name in ("codes-00010.parquet", "codes-00002.parquet", "codes.json", "other.parquet"):
        (tmp_path / name).write_bytes(name.encode())
        writer.add(tmp_path / name)
    table = pa.table({"latent": [0, 1, 2], "p99": pa.array([0.5, 0.0, 2.0], pa.float32())})
    pq.write_table(table, tmp_path / "latents.parquet")
    writer.add(tmp_path / "latents.parquet")
    writer.commit({}, 0.0)
    found = [path.read_bytes() for path in codes_of(artifact_store, writer.ref)]
    assert found == [b"codes-00002.parquet", b"codes-00010.parquet"]
    scale = scale_of(artifact_store, writer.ref)
    assert scale.dtype == np.float32
    assert scale.tolist() == [0.5, 0.0, 2.0]


def test_an_autoencoder_that_is_not_there_is_told(artifact_store: ArtifactStore):
    for read in (codes_of, scale_of):
        with pytest.raises(NotFound):
            read(artifact_store, f"autoencoders/{3:016x}")
