"""Artifacts on a real S3 server: committed whole or not at all, every byte checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from reclens.contracts import CaptureSpec, DatasetSpec, RecommenderSpec
from reclens.errors import CorruptArtifact, NotFound, Unavailable, VersionMismatch
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
    flip_one_byte(artifact_store, artifact_store.manifest(ref).key("table.parquet"))
    with pytest.raises(CorruptArtifact, match=r"table\.parquet.*promises"):
        artifact_store.fetch(ref, "table.parquet")
    with pytest.raises(CorruptArtifact):
        artifact_store.fetch_all(ref)


def test_a_truncated_object_is_found(artifact_store: ArtifactStore, tmp_path: Path):
    ref = write(artifact_store, DatasetSpec(k_core=13), tmp_path)
    artifact_store.objects.put(artifact_store.manifest(ref).key("table.parquet"), b"rows")
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
    killed = ArtifactWriter(artifact_store, spec)
    (tmp_path / "shard-00099.parquet").write_bytes(b"left over")
    killed.add(tmp_path / "shard-00099.parquet")
    ref = write(artifact_store, spec, tmp_path)
    assert set(artifact_store.objects.list(f"{ref}/")) == {
        f"{ref}/manifest.json",
        artifact_store.manifest(ref).key("table.parquet"),
    }


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


def test_an_attempt_that_is_too_late_harms_nothing_of_the_one_that_committed(
    artifact_store: ArtifactStore, tmp_path: Path
):
    spec = DatasetSpec(k_core=21)
    slow = ArtifactWriter(artifact_store, spec)
    (tmp_path / "early.parquet").write_bytes(b"of the slow one")
    slow.add(tmp_path / "early.parquet")
    ref = write(artifact_store, spec, tmp_path)
    # It goes on, as one that was stopped beyond its lease and woke.
    (tmp_path / "table.parquet").write_bytes(b"other bytes under the same name")
    slow.add(tmp_path / "table.parquet")
    slow.discard()
    content = f"rows of {ref}".encode()
    assert artifact_store.fetch(ref, "table.parquet").read_bytes() == content
    assert artifact_store.objects.list(f"{ref}/") == sorted(
        [f"{ref}/manifest.json", artifact_store.manifest(ref).key("table.parquet")]
    )


def test_a_commit_that_comes_second_leaves_the_first_alone(
    artifact_store: ArtifactStore, tmp_path: Path
):
    spec = DatasetSpec(k_core=22)
    second = ArtifactWriter(artifact_store, spec)
    (tmp_path / "table.parquet").write_bytes(b"of the second")
    second.add(tmp_path / "table.parquet")
    ref = write(artifact_store, spec, tmp_path)
    # What it had uploaded has been swept away already.
    assert second.commit({"rows": 99}, seconds=1).metrics == {"rows": 3}
    third = ArtifactWriter(artifact_store, spec)
    (tmp_path / "table.parquet").write_bytes(b"of the third")
    third.add(tmp_path / "table.parquet")
    assert third.commit({"rows": 99}, seconds=1).metrics == {"rows": 3}
    assert artifact_store.fetch(ref, "table.parquet").read_bytes() == f"rows of {ref}".encode()
    assert len(artifact_store.objects.list(f"{ref}/")) == 2


def test_where_the_manifest_may_still_arrive_its_objects_stay(
    artifact_store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    spec = DatasetSpec(k_core=23)
    writer = ArtifactWriter(artifact_store, spec)
    (tmp_path / "table.parquet").write_bytes(b"rows")
    writer.add(tmp_path / "table.parquet")
    put = artifact_store.objects.put_if_absent
    late: list[tuple[str, bytes]] = []

    def unheard(key: str, data: bytes) -> bool:
        late.append((key, data))
        raise Unavailable("the store does not answer.")

    monkeypatch.setattr(artifact_store.objects, "put_if_absent", unheard)
    with pytest.raises(Unavailable):
        writer.commit({}, seconds=1)
    writer.discard()
    put(*late[0])
    assert artifact_store.fetch(writer.ref, "table.parquet").read_bytes() == b"rows"


def test_an_input_that_changes_under_a_job_is_found(artifact_store: ArtifactStore, tmp_path: Path):
    dataset = write(artifact_store, DatasetSpec(k_core=24), tmp_path)
    writer = ArtifactWriter(artifact_store, RecommenderSpec(dataset=dataset))
    writer.pin_inputs()
    manifest = json.loads(artifact_store.objects.get(f"{dataset}/manifest.json"))
    manifest["metrics"] = {"rows": 4}
    artifact_store.objects.put(f"{dataset}/manifest.json", json.dumps(manifest).encode())
    with pytest.raises(CorruptArtifact, match="has changed"):
        writer.commit({}, seconds=1)
    assert not artifact_store.exists(writer.ref)


def test_lineage_follows_only_what_was_read(artifact_store: ArtifactStore, tmp_path: Path):
    dataset = write(artifact_store, DatasetSpec(k_core=25), tmp_path)
    recommender = write(artifact_store, RecommenderSpec(dataset=dataset), tmp_path)
    forged = json.loads(artifact_store.objects.get(f"{dataset}/manifest.json"))
    forged["objects"][0]["sha256"] = "0" * 64
    artifact_store.objects.put(f"{dataset}/manifest.json", json.dumps(forged).encode())
    with pytest.raises(CorruptArtifact, match=dataset):
        artifact_store.lineage(recommender)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../../escaped"),
        ("name", "/etc/escaped"),
        ("name", "a/../../escaped"),
        ("name", ".hidden"),
        ("name", "a\\..\\b"),
        ("name", "a\0b"),
        ("name", "-rf"),
        ("name", "line\nbreak"),
        ("name", ""),
        ("name", "x" * 300),
        ("sha256", "../../../escaped"),
        ("sha256", "A" * 64),
        ("sha256", "0" * 63),
        ("size", -1),
    ],
)
def test_a_forged_manifest_names_no_path(
    artifact_store: ArtifactStore, tmp_path: Path, field: str, value: object
):
    ref = write(artifact_store, DatasetSpec(k_core=26), tmp_path)
    good = artifact_store.objects.get(f"{ref}/manifest.json")
    forged = json.loads(good)
    forged["objects"][0][field] = value
    artifact_store.objects.put(f"{ref}/manifest.json", json.dumps(forged).encode())
    try:
        with pytest.raises(CorruptArtifact, match="cannot be read"):
            artifact_store.fetch_all(ref)
    finally:
        artifact_store.objects.put(f"{ref}/manifest.json", good)


@pytest.mark.parametrize("field", ["objects", "devices", "inputs", "versions"])
def test_a_forged_manifest_costs_no_memory(
    artifact_store: ArtifactStore, tmp_path: Path, field: str
):
    ref = write(artifact_store, DatasetSpec(k_core=28), tmp_path)
    good = artifact_store.objects.get(f"{ref}/manifest.json")
    wrong: list[object] = [{}] * 100_000
    forged = {**json.loads(good)}
    forged[field] = wrong if field in ("objects", "devices") else dict(enumerate(wrong))
    try:
        artifact_store.objects.put(f"{ref}/manifest.json", json.dumps(forged).encode())
        with pytest.raises(CorruptArtifact) as caught:
            artifact_store.manifest(ref)
        # Not an error for each of them, which is kept until all are found.
        assert "more" not in caught.value.message or "more than 1000" in caught.value.message
        artifact_store.objects.put(f"{ref}/manifest.json", good + b" " * (4 << 20))
        with pytest.raises(CorruptArtifact, match="has more than 4194304 bytes"):
            artifact_store.manifest(ref)
    finally:
        artifact_store.objects.put(f"{ref}/manifest.json", good)


def test_two_names_that_differ_in_case_alone_are_refused(
    artifact_store: ArtifactStore, tmp_path: Path
):
    ref = write(artifact_store, DatasetSpec(k_core=27), tmp_path)
    forged = json.loads(artifact_store.objects.get(f"{ref}/manifest.json"))
    forged["objects"].append({**forged["objects"][0], "name": "TABLE.parquet"})
    artifact_store.objects.put(f"{ref}/manifest.json", json.dumps(forged).encode())
    with pytest.raises(CorruptArtifact, match="same name"):
        artifact_store.fetch_all(ref)


def test_an_artifact_of_before_attempts_is_read(artifact_store: ArtifactStore, tmp_path: Path):
    ref = write(artifact_store, DatasetSpec(k_core=28), tmp_path)
    old = artifact_store.manifest(ref)
    data = artifact_store.objects.get(old.key("table.parquet"))
    artifact_store.objects.put(f"{ref}/table.parquet", data)
    artifact_store.objects.delete(old.key("table.parquet"))
    plain = {name: value for name, value in old.canonical().items() if name != "attempt"}
    artifact_store.objects.put(f"{ref}/manifest.json", json.dumps(plain).encode())
    assert artifact_store.fetch(ref, "table.parquet").read_bytes() == data


def test_an_object_that_is_gone_has_a_remedy(artifact_store: ArtifactStore, tmp_path: Path):
    ref = write(artifact_store, DatasetSpec(k_core=29), tmp_path)
    artifact_store.objects.delete(artifact_store.manifest(ref).key("table.parquet"))
    with pytest.raises(CorruptArtifact, match=r"not there(.|\n)*submit the job again"):
        artifact_store.fetch(ref, "table.parquet")


def test_nothing_is_committed_of_which_an_object_is_gone(
    artifact_store: ArtifactStore, tmp_path: Path
):
    writer = ArtifactWriter(artifact_store, DatasetSpec(k_core=30))
    (tmp_path / "table.parquet").write_bytes(b"rows")
    writer.add(tmp_path / "table.parquet")
    (key,) = artifact_store.objects.list(f"{writer.ref}/")
    artifact_store.objects.delete(key)
    with pytest.raises(CorruptArtifact, match=r"table\.parquet.*not there"):
        writer.commit({}, seconds=1)
    assert not artifact_store.exists(writer.ref)


def added(writer: ArtifactWriter, folder: Path, name: str) -> None:
    (folder / name).write_bytes(f"rows of {name}".encode())
    writer.add(folder / name)


def test_an_attempt_goes_on_after_what_another_handed_on(
    artifact_store: ArtifactStore, tmp_path: Path
):
    spec = DatasetSpec(k_core=31)
    first, second, third = (ArtifactWriter(artifact_store, spec) for _ in range(3))
    added(first, tmp_path, "a")
    first.hand_on()
    added(first, tmp_path, "b")
    # As JSON, through a checkpoint.
    assert second.take_over(json.loads(json.dumps(first.hand_on())))
    added(second, tmp_path, "c")
    parts = second.hand_on()
    added(second, tmp_path, "not-handed-on")
    assert third.take_over(parts)
    added(third, tmp_path, "d")
    # Those who were interrupted wake, and fail: what others go on with stays.
    added(first, tmp_path, "late")
    for late in (first, second):
        late.discard()
    manifest = third.commit({}, seconds=1)
    assert [entry.name for entry in manifest.objects] == ["a", "b", "c", "d"]
    assert len(set(manifest.folder_of.values())) == 3
    for name in "abcd":
        copy = artifact_store.fetch(third.ref, name)
        assert copy.read_bytes() == f"rows of {name}".encode()
    assert set(artifact_store.objects.list(f"{third.ref}/")) == {
        f"{third.ref}/manifest.json",
        *(manifest.key(name) for name in "abcd"),
    }
    # One that woke after the commit as well.
    second.discard()
    artifact_store.fetch_all(third.ref)


def test_nothing_is_taken_over_that_is_gone_or_made_from_something_else(
    artifact_store: ArtifactStore, tmp_path: Path
):
    dataset = write(artifact_store, DatasetSpec(k_core=32), tmp_path)
    spec = RecommenderSpec(dataset=dataset)
    first = ArtifactWriter(artifact_store, spec)
    first.pin_inputs()
    added(first, tmp_path, "a")
    parts = first.hand_on()
    second = ArtifactWriter(artifact_store, spec)
    assert not second.take_over(parts)  # it has not looked at its inputs
    second.pin_inputs()
    assert second.take_over(parts)
    (key,) = artifact_store.objects.list(f"{first.ref}/")
    artifact_store.objects.delete(key)
    third = ArtifactWriter(artifact_store, spec)
    third.pin_inputs()
    assert not third.take_over(parts)
    assert third.commit({}, seconds=1).objects == []


def test_an_attempt_whose_commit_was_sent_twice_keeps_its_objects(
    artifact_store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    writer = ArtifactWriter(artifact_store, DatasetSpec(k_core=33))
    added(writer, tmp_path, "a")
    put = artifact_store.objects.put_if_absent

    def twice(key: str, data: bytes) -> bool:
        # The answer to the first one was lost on its way.
        put(key, data)
        return put(key, data)

    monkeypatch.setattr(artifact_store.objects, "put_if_absent", twice)
    manifest = writer.commit({}, seconds=1)
    assert artifact_store.fetch(manifest.artifact, "a").read_bytes() == b"rows of a"


def test_fields_that_came_later_are_passed_over(artifact_store: ArtifactStore, tmp_path: Path):
    ref = write(artifact_store, DatasetSpec(k_core=34), tmp_path)
    newer = json.loads(artifact_store.objects.get(f"{ref}/manifest.json"))
    newer["colour"] = "green"
    newer["objects"][0]["compressed"] = True
    artifact_store.objects.put(f"{ref}/manifest.json", json.dumps(newer).encode())
    assert artifact_store.fetch(ref, "table.parquet").read_bytes() == f"rows of {ref}".encode()


def test_a_manifest_of_a_newer_layout_is_no_damage(artifact_store: ArtifactStore, tmp_path: Path):
    ref = write(artifact_store, DatasetSpec(k_core=35), tmp_path)
    good = artifact_store.objects.get(f"{ref}/manifest.json")
    newer = {**json.loads(good), "manifest_version": 2, "objects": {"by": "name"}}
    artifact_store.objects.put(f"{ref}/manifest.json", json.dumps(newer).encode())
    try:
        with pytest.raises(VersionMismatch, match="newer RecLens") as caught:
            artifact_store.fetch_all(ref)
        assert "upgrade this part" in caught.value.remedy
        assert "delete" not in str(caught.value)
    finally:
        artifact_store.objects.put(f"{ref}/manifest.json", good)
