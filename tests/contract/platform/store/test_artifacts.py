"""Artifacts on a real S3 server: committed whole or not at all, every byte checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from reclens.contracts import CaptureSpec, DatasetSpec, RecommenderSpec
from reclens.errors import CorruptArtifact, NotFound
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter


def write(
    store: ArtifactStore, spec: DatasetSpec | RecommenderSpec | CaptureSpec, folder: Path
) -> str:
    writer = ArtifactWriter(store, spec)
    path = folder / "table.parquet"
    path.write_bytes(f"rows of {spec.artifact_ref()}".encode())
    writer.add(path)
    writer.commit({"rows": 3}, seconds=1.5)
    return writer.ref


@pytest.fixture
def dataset() -> DatasetSpec:
    return DatasetSpec(k_core=17)


def flip_one_byte(store: ArtifactStore, key: str) -> None:
    data = bytearray(store.objects.get(key))
    data[3] ^= 1
    store.objects.put(key, bytes(data))


def test_an_artifact_does_not_exist_before_its_manifest(
    artifact_store: ArtifactStore, tmp_path: Path
):
    writer = ArtifactWriter(artifact_store, DatasetSpec(k_core=11))
    path = tmp_path / "half"
    path.write_bytes(b"half")
    writer.add(path)
    assert not artifact_store.exists(writer.ref)
    with pytest.raises(NotFound, match="artifacts list"):
        artifact_store.manifest(writer.ref)
    writer.discard()
    assert artifact_store.objects.list(f"{writer.ref}/") == []


def test_the_manifest_lists_size_and_checksum_of_every_object(
    artifact_store: ArtifactStore, dataset: DatasetSpec, tmp_path: Path
):
    ref = write(artifact_store, dataset, tmp_path)
    [entry] = artifact_store.manifest(ref).objects
    content = f"rows of {ref}".encode()
    assert entry.size == len(content)
    assert entry.sha256 == hashlib.sha256(content).hexdigest()
    assert artifact_store.fetch(ref, "table.parquet").read_bytes() == content
    assert (artifact_store.fetch_all(ref) / "table.parquet").read_bytes() == content
    stored = json.loads(artifact_store.objects.get(f"{ref}/manifest.json"))
    assert stored["spec"]["k_core"] == 17
    assert stored["metrics"] == {"rows": 3}


def test_the_manifest_says_where_it_was_computed_and_the_id_does_not(
    artifact_store: ArtifactStore, tmp_path: Path
):
    devices = ["cpu", "cuda:0 (NVIDIA H100)"]
    here = ArtifactWriter(artifact_store, DatasetSpec(k_core=18))
    manifest = here.commit({}, seconds=1.0, devices=devices)
    assert manifest.devices == artifact_store.manifest(here.ref).devices == devices
    # A manifest from before there was a choice.
    old = json.loads(artifact_store.objects.get(f"{here.ref}/manifest.json"))
    del old["devices"]
    artifact_store.objects.put(f"{here.ref}/manifest.json", json.dumps(old).encode())
    assert artifact_store.manifest(here.ref).devices == []


def test_a_flipped_byte_is_found_and_named(artifact_store: ArtifactStore, tmp_path: Path):
    ref = write(artifact_store, DatasetSpec(k_core=12), tmp_path)
    flip_one_byte(artifact_store, f"{ref}/table.parquet")
    with pytest.raises(CorruptArtifact, match=r"table\.parquet.*promises"):
        artifact_store.fetch(ref, "table.parquet")
    with pytest.raises(CorruptArtifact):
        artifact_store.fetch_all(ref)


def test_a_truncated_object_is_found(artifact_store: ArtifactStore, tmp_path: Path):
    ref = write(artifact_store, DatasetSpec(k_core=13), tmp_path)
    artifact_store.objects.put(f"{ref}/table.parquet", b"rows")
    with pytest.raises(CorruptArtifact, match="4 bytes"):
        artifact_store.fetch(ref, "table.parquet")


def test_an_unreadable_manifest_is_corrupt_not_missing(
    artifact_store: ArtifactStore, tmp_path: Path
):
    ref = write(artifact_store, DatasetSpec(k_core=14), tmp_path)
    artifact_store.objects.put(f"{ref}/manifest.json", b'{"half":')
    with pytest.raises(CorruptArtifact, match="cannot be read"):
        artifact_store.manifest(ref)


def test_the_first_commit_stands(artifact_store: ArtifactStore, tmp_path: Path):
    spec = DatasetSpec(k_core=15)
    write(artifact_store, spec, tmp_path)
    second = ArtifactWriter(artifact_store, spec)
    manifest = second.commit({"rows": 99}, seconds=9)
    assert manifest.metrics == {"rows": 3}


def test_a_commit_sweeps_what_a_killed_attempt_left(artifact_store: ArtifactStore, tmp_path: Path):
    spec = DatasetSpec(k_core=16)
    artifact_store.objects.put(f"{spec.artifact_ref()}/shard-00099.parquet", b"left over")
    ref = write(artifact_store, spec, tmp_path)
    assert artifact_store.objects.list(f"{ref}/") == [
        f"{ref}/manifest.json",
        f"{ref}/table.parquet",
    ]


def test_lineage_reaches_the_data_set(
    artifact_store: ArtifactStore, dataset: DatasetSpec, tmp_path: Path
):
    first = write(artifact_store, dataset, tmp_path)
    second = write(artifact_store, RecommenderSpec(dataset=first), tmp_path)
    third = write(artifact_store, CaptureSpec(recommender=second), tmp_path)
    assert artifact_store.lineage(third) == {"recommender": second, "dataset": first}
    inputs = artifact_store.manifest(second).inputs
    manifest_bytes = artifact_store.objects.get(f"{first}/manifest.json")
    assert inputs["dataset"].manifest_sha256 == hashlib.sha256(manifest_bytes).hexdigest()
