"""A bucket is backed up while jobs run, lost, and brought back: the drill."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from buckets import bucket_of_ones_own
from deployed_servers import Deployed, refused, release_of_nothing

from reclens.cli.main import run
from reclens.contracts import DatasetSpec, JobSpec, RecommenderSpec, Release
from reclens.errors import AlreadyExists, CorruptArtifact, NotFound
from reclens.ops.deployment.access import Account
from reclens.ops.retention.backup import Backup, Dropped
from reclens.platform.settings.models import S3Settings
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter
from reclens.platform.store.objects import S3Store


@pytest.fixture
def store(own_bucket: S3Settings, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(S3Store(own_bucket), tmp_path / "cache")


def commit(store: ArtifactStore, spec: JobSpec, folder: Path) -> str:
    writer = ArtifactWriter(store, spec)
    for name in ("rows", "more"):
        (folder / name).write_bytes(f"{name} of {writer.ref}".encode())
        writer.add(folder / name)
    writer.commit({}, 0.0)
    return writer.ref


def publish(store: ArtifactStore, number: int, folder: Path) -> Release:
    """A data set, a recommender made from it, and a release of that."""
    folder.mkdir(exist_ok=True)
    dataset = DatasetSpec(k_core=100 + number)
    ref = RecommenderSpec(dataset=commit(store, dataset, folder))
    part = commit(store, ref, folder)
    named = {"version": str(number), "recommender": part, "autoencoder": part, "concepts": part}
    return store.releases.publish(release_of_nothing("default").model_copy(update=named))


def contents(store: ArtifactStore) -> dict[str, bytes]:
    return {key: store.objects.get(key) for key in store.objects.list("")}


def test_a_lost_bucket_comes_back_as_it_was(
    store: ArtifactStore, own_bucket: S3Settings, s3: S3Settings, tmp_path: Path
):
    publish(store, 1, tmp_path / "made")
    store.objects.put("edits/0123456789abcdef/000001.json", b"{}")
    store.objects.put("policies/calm/000001.json", b"{}")
    store.objects.put("llm-cache/1-tgi/ab/abc.json", b"{}")
    kept = contents(store)
    for key in ("checkpoints/x/latest.json", "dead-letters/1.json", f"datasets/{'a' * 16}/b/rows"):
        store.objects.put(key, b"of no use")
    backup = Backup(tmp_path / "backup")
    taken = backup.take(store)
    assert (taken.objects, taken.copied) == (len(kept), len(kept))
    with bucket_of_ones_own(s3) as other:
        restored = ArtifactStore(S3Store(other), tmp_path / "other")
        assert backup.restore(restored.objects).copied == len(kept)
        assert contents(restored) == kept
        # Again, and with what has come since: only that is copied.
        publish(store, 2, tmp_path / "made")
        again = backup.take(store)
        assert (again.objects, again.copied) == (len(kept) + 7, 7)
        assert backup.take(store).copied == 0
        assert backup.restore(restored.objects).copied == 7
        assert restored.releases.head("default") == store.releases.head("default")
        # What differs is not written over.
        restored.objects.put("policies/calm/000001.json", b"[]")
        with pytest.raises(AlreadyExists, match="policies/calm"):
            backup.restore(restored.objects)


def test_a_backup_taken_while_jobs_commit_is_consistent(
    store: ArtifactStore, s3: S3Settings, tmp_path: Path
):
    over, faults = threading.Event(), []

    def work() -> None:
        try:
            for number in range(40):
                publish(store, number, tmp_path / "made")
                if over.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - shown by the test
            faults.append(error)

    publish(store, 99, tmp_path / "made")
    thread = threading.Thread(target=work)
    thread.start()
    for number in range(3):
        backup = Backup(tmp_path / f"backup-{number}")
        backup.take(store)
        with bucket_of_ones_own(s3) as other:
            restored = ArtifactStore(S3Store(other), tmp_path / f"other-{number}")
            backup.restore(restored.objects)
            versions = restored.releases.history("default")
            assert versions
            for version in versions:
                assert isinstance(version, Release)
                restored.lineage(version.recommender)
            for manifest in restored.list():
                for entry in manifest.objects:
                    restored.fetch(manifest.artifact, entry.name)
    over.set()
    thread.join()
    assert faults == []


def test_damage_is_found_on_either_side(store: ArtifactStore, s3: S3Settings, tmp_path: Path):
    release = publish(store, 1, tmp_path / "made")
    backup = Backup(tmp_path / "backup")
    with pytest.raises(NotFound, match="no snapshot"):
        backup.restore(store.objects)
    backup.take(store)
    manifest = store.manifest(release.recommender)
    file = backup._path(manifest.object("rows").sha256)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    with bucket_of_ones_own(s3) as other:
        damaged = ArtifactStore(S3Store(other), tmp_path / "other")
        with pytest.raises(CorruptArtifact, match="damaged"):
            backup.restore(damaged.objects)
        # Nothing that is there is half of something.
        assert not damaged.exists(release.recommender)
        assert damaged.releases.heads() == {}
        file.write_bytes(whole)
        backup.restore(damaged.objects)
        assert damaged.releases.head("default") == release
    store.objects.put(manifest.key("rows"), b"?" * len(whole))
    with pytest.raises(CorruptArtifact, match="other bytes"):
        Backup(tmp_path / "second").take(store)
    store.objects.delete(manifest.key("rows"))
    with pytest.raises(CorruptArtifact, match="is not there"):
        Backup(tmp_path / "third").take(store)
    assert Backup(tmp_path / "third").snapshots() == []


def test_old_snapshots_are_dropped_with_what_only_they_need(
    store: ArtifactStore, s3: S3Settings, tmp_path: Path
):
    folder = tmp_path / "backup"
    backup = Backup(folder)
    gone = publish(store, 1, tmp_path / "made")
    backup.take(store)
    one_file = (gone.recommender, "rows")
    file_of_gone = backup._path(store.manifest(one_file[0]).object("rows").sha256)
    for key in store.objects.list("recommenders/"):
        store.objects.delete(key)
    kept = []
    for number in (2, 3):
        publish(store, number, tmp_path / "made")
        kept = [*kept, backup.take(store).snapshot]
    (folder / "objects/tmp-of-a-backup-that-was-cut").write_bytes(b"half")
    assert backup.drop(3) == Dropped(snapshots=0, files=1, bytes=4)
    assert file_of_gone.exists()
    dropped = backup.drop(2)
    assert dropped is not None
    # Of the recommender that is gone: manifest and two objects.
    assert (dropped.snapshots, dropped.files) == (1, 3)
    assert backup.snapshots() == kept
    assert not file_of_gone.exists()
    with bucket_of_ones_own(s3) as other:
        restored = ArtifactStore(S3Store(other), tmp_path / "other")
        backup.restore(restored.objects)
        assert contents(restored) == contents(store)
    # What stays has to be known.
    (folder / kept[0]).write_bytes(b"{")
    with pytest.raises(CorruptArtifact, match="cannot be read"):
        backup.drop(2)
    assert backup.drop(1) is not None
    assert backup.snapshots() == kept[1:]
    assert backup.take(store).copied == 0


def test_nothing_is_dropped_while_a_backup_counts_on_it(store: ArtifactStore, tmp_path: Path):
    publish(store, 1, tmp_path / "made")
    backup, dropped = Backup(tmp_path / "backup"), []
    for _ in range(2):
        backup.take(store)

    class Meanwhile(S3Store):
        """As each object is read, somebody else drops what they can."""

        def get_chunks(self, key: str) -> Iterator[bytes]:
            dropped.append(Backup(tmp_path / "backup").drop(1))
            yield from super().get_chunks(key)

    publish(store, 2, tmp_path / "made")
    store.objects.__class__ = Meanwhile
    assert backup.take(store).copied == 7
    store.objects.__class__ = S3Store
    assert set(dropped) == {None}
    assert backup.drop(1) == Dropped(snapshots=2, files=0, bytes=0)
    with ThreadPoolExecutor(2) as pool:
        publish(store, 3, tmp_path / "made")
        # However they meet, what is taken is whole.
        taken = pool.submit(backup.take, store)
        while not taken.done():
            Backup(tmp_path / "backup").drop(1)
        taken.result()
    assert backup.take(store).copied == 0


def test_its_account_puts_back_and_removes_nothing(
    deployed: Deployed, store: ArtifactStore, tmp_path: Path
):
    release = publish(store, 1, tmp_path / "made")
    backup = Backup(tmp_path / "backup")
    backup.take(store)
    restoring = deployed.store(Account.RESTORE, tmp_path / "cache-of-restore")
    backup.restore(restoring.objects)
    assert restoring.fetch(release.recommender, "rows").exists()
    assert refused(lambda: restoring.objects.delete(f"{release.recommender}/manifest.json"))
    # The parts' own accounts cannot restore.
    assert refused(lambda: backup.restore(deployed.objects(Account.OPERATOR))) is False
    other = Backup(tmp_path / "other")
    publish(store, 2, tmp_path / "made")
    other.take(store)
    assert refused(lambda: other.restore(deployed.objects(Account.OPERATOR)))


def test_the_commands_copy_and_bring_back(
    own_bucket: S3Settings,
    store: ArtifactStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
):
    publish(store, 1, tmp_path / "made")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECLENS_S3__ENDPOINT", own_bucket.endpoint)
    monkeypatch.setenv("RECLENS_S3__ACCESS_KEY", own_bucket.access_key.get_secret_value())
    monkeypatch.setenv("RECLENS_S3__SECRET_KEY", own_bucket.secret_key.get_secret_value())
    monkeypatch.setenv("RECLENS_S3__BUCKET", own_bucket.bucket)
    assert run(["backup", "kept", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["copied"] == 7
    assert run(["backup", "kept", "--keep", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["copied"], told["dropped"]) == (0, {"snapshots": 1, "files": 0, "bytes": 0})
    with bucket_of_ones_own(own_bucket) as other:
        monkeypatch.setenv("RECLENS_S3__BUCKET", other.bucket)
        assert run(["restore", "kept"]) == 0
        assert "copied 7" in capsys.readouterr().out
        assert contents(ArtifactStore(S3Store(other), tmp_path / "o")) == contents(store)
    assert run(["restore", "elsewhere"]) == 3
