"""Backup of a bucket into a folder while jobs run, and the way back.

```
FOLDER/
  objects/ab/abcd...      the bytes, each file named by its SHA-256
  snapshots/TIME.json     what the bucket held then: key, size, SHA-256, time; written last
  snapshots/lock          shared by those who copy and restore, held alone by who drops
```

A snapshot is consistent. Releases and the other logs are listed first, manifests after them, so
that all that a release names is there; the objects of an artifact are those that its manifest
names. What a job commits meanwhile is in the next snapshot. A second backup into the same folder
copies what is new. Checkpoints, dead letters and what attempts left are not copied: nothing is lost
with them.

Files belong to all snapshots that name them, so what goes with an old snapshot is what none of the
others names. Only whoever has the lock alone can tell: a backup under way counts on files that no
snapshot names yet.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from reclens.contracts import ArtifactKind, Contract, canonical_json
from reclens.contracts.artifacts import Sha256
from reclens.errors import AlreadyExists, CorruptArtifact, InvalidInput, NotFound
from reclens.platform.files import path_below, write_atomically
from reclens.platform.llm.answer_cache import PREFIX as LLM_CACHE
from reclens.platform.store.artifacts import MANIFEST, ArtifactStore
from reclens.platform.store.objects import ObjectStore, StoredObject

# Of what is restored, whatever refers to another comes after it.
_LOGS: Final = ("edits/", "policies/", "releases/")
_CHUNK: Final = 1 << 20


class Copied(Contract):
    """One object of a snapshot."""

    key: str
    """Where it lay."""
    size: int = Field(ge=0)
    """Bytes."""
    sha256: Sha256
    """Of its bytes: the name of its file."""
    modified: str
    """When it was put, ISO 8601."""


class Snapshot(Contract):
    """What a bucket held at a moment."""

    version: int = 1
    """Of this layout."""
    taken_at: str
    """UTC, ISO 8601."""
    objects: list[Copied]
    """In the order in which they are restored: what refers to another comes after it."""


@dataclass(frozen=True)
class Outcome:
    """What a backup or a restore did."""

    snapshot: str
    """Its file."""
    objects: int
    """In the snapshot."""
    bytes: int
    """In the snapshot."""
    copied: int
    """Objects that were copied; the others were there."""
    copied_bytes: int
    """Bytes of these."""


@dataclass(frozen=True)
class Dropped:
    """What was removed from a backup."""

    snapshots: int
    """Snapshots, the oldest."""
    files: int
    """Files that no snapshot names, and what backups that were cut left."""
    bytes: int
    """Bytes of these."""


class Backup:
    """A folder of snapshots.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copied = 0
        self._copied_bytes = 0

    # --- there -----------------------------------------------------------------------------------

    def take(self, store: ArtifactStore) -> Outcome:
        """Copy what is new, and write a snapshot.

        Raises:
            Unavailable: the store does not answer; what was copied counts for the next time.
            CorruptArtifact: an object has other bytes than its manifest says, or a manifest cannot
                be read.
            InvalidInput: this kind of store does not tell size and time of its objects.
        """
        (self._folder / "snapshots").mkdir(parents=True, exist_ok=True)
        with self._locked(fcntl.LOCK_SH):
            return self._take(store)

    def _take(self, store: ArtifactStore) -> Outcome:
        self._copied = self._copied_bytes = 0
        now = datetime.now(UTC)
        before = {one.key: one for one in self._newest().objects} if self.snapshots() else {}
        logs = [entry for prefix in _LOGS for entry in store.objects.entries(prefix)]
        answers = store.objects.entries(f"{LLM_CACHE}/")
        manifests = [
            entry
            for kind in ArtifactKind
            for entry in store.objects.entries(f"{kind}/")
            if entry.key.endswith(f"/{MANIFEST}") and entry.key.count("/") == 2
        ]
        manifests.sort(key=lambda entry: entry.modified)
        found: list[Copied] = []
        for entry in manifests:
            try:
                copied = self._small(store.objects, entry, before)
                found += self._objects_of(store, entry.key.removesuffix(f"/{MANIFEST}"))
                found.append(copied)
            except NotFound:
                continue  # collected as garbage meanwhile: no release names it
        for entry in (*answers, *logs):
            found.append(self._small(store.objects, entry, before))
        snapshot = Snapshot(taken_at=now.isoformat(timespec="seconds"), objects=found)
        name = f"snapshots/{now:%Y%m%dT%H%M%S.%fZ}.json"
        write_atomically(self._folder / name, canonical_json(snapshot.canonical()).decode())
        return self._outcome(name, snapshot)

    def _objects_of(self, store: ArtifactStore, ref: str) -> Iterator[Copied]:
        manifest = store.manifest(ref)
        for entry in manifest.objects:
            key = manifest.key(entry.name)
            if self._file(entry.sha256, entry.size) is None:
                try:
                    self._copy(store.objects, key, entry.size, entry.sha256)
                except NotFound:
                    if not store.exists(ref):
                        raise
                    raise CorruptArtifact(
                        f"{key} is not there, though the manifest of {ref} names it.",
                        field=key,
                        remedy="`reclens doctor` tells whether a release needs it; bring it back "
                        "from an earlier snapshot, or delete the artifact.",
                    ) from None
            yield Copied(
                key=key, size=entry.size, sha256=entry.sha256, modified=manifest.created_at
            )

    def _small(
        self, objects: ObjectStore, entry: StoredObject, before: dict[str, Copied]
    ) -> Copied:
        """Copy an object whose hash nobody has told, unless it is the one of the last snapshot."""
        modified, known = entry.modified.isoformat(), before.get(entry.key)
        same = known and (known.size, known.modified) == (entry.size, modified)
        if known and same and self._file(known.sha256, known.size) is not None:
            return known
        size, digest = self._copy(objects, entry.key)
        return Copied(key=entry.key, size=size, sha256=digest, modified=modified)

    def _copy(
        self, objects: ObjectStore, key: str, size: int | None = None, sha256: str = ""
    ) -> tuple[int, str]:
        """Copy an object, and return its size and hash; where they are known, they must be so."""
        (self._folder / "objects").mkdir(parents=True, exist_ok=True)
        digest, n_bytes = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=self._folder / "objects", delete=False) as partial:
            path = Path(partial.name)
            try:
                for chunk in objects.get_chunks(key):
                    partial.write(chunk)
                    digest.update(chunk)
                    n_bytes += len(chunk)
                partial.flush()
                os.fsync(partial.fileno())
                found = digest.hexdigest()
                if size is not None and (n_bytes, found) != (size, sha256):
                    raise CorruptArtifact(
                        f"{key} has other bytes than its manifest says.",
                        field=key,
                        remedy="bring it back from an earlier snapshot, or delete the artifact.",
                    )
                self._path(found).parent.mkdir(exist_ok=True)
                path.replace(self._path(found))
            finally:
                path.unlink(missing_ok=True)
        self._copied += 1
        self._copied_bytes += n_bytes
        return n_bytes, found

    # --- and back --------------------------------------------------------------------------------

    def restore(self, objects: ObjectStore) -> Outcome:
        """Put what the newest snapshot has into a bucket, each object verified before.

        What is there already stays. Should it end in the middle, it may be done again: no artifact
        is committed before its objects are there, and no release before its artifacts.

        Raises:
            NotFound: the folder has no snapshot.
            CorruptArtifact: a file is missing in it, or has other bytes.
            AlreadyExists: the bucket has another object in the place of one.
            StoreRefused: these keys may not put all of it.
            Unavailable: the store does not answer.
        """
        with self._locked(fcntl.LOCK_SH):
            return self._restore(objects)

    def _restore(self, objects: ObjectStore) -> Outcome:
        self._copied = self._copied_bytes = 0
        snapshot = self._newest()
        there = {entry.key: entry.size for entry in objects.entries("")}
        for one in snapshot.objects:
            if one.key in there:
                self._check_same(objects, one, there[one.key])
                continue
            path = self._verified(one)
            if one.key.endswith(f"/{MANIFEST}") or one.key.startswith(_LOGS):
                # Who commits or publishes meanwhile is not written over.
                if not objects.put_if_absent(one.key, path.read_bytes()):
                    self._check_same(objects, one, one.size)
            else:
                objects.put_file(one.key, path)
            self._copied += 1
            self._copied_bytes += one.size
        return self._outcome(self.snapshots()[-1], snapshot)

    def _check_same(self, objects: ObjectStore, one: Copied, size: int) -> None:
        digest = hashlib.sha256()
        if size == one.size:
            for chunk in objects.get_chunks(one.key):
                digest.update(chunk)
        if digest.hexdigest() != one.sha256:
            raise AlreadyExists(
                f"the bucket has another {one.key} than the backup.",
                field=one.key,
                remedy="restore into an empty bucket (RECLENS_S3__BUCKET).",
            )

    def _verified(self, one: Copied) -> Path:
        path = self._file(one.sha256, one.size)
        if path is not None:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == one.sha256:
                    return path
        raise CorruptArtifact(
            f"the backup of {one.key} is missing or damaged.",
            field=str(self._path(one.sha256)),
            remedy="bring that file back, or remove the snapshot and restore the one before.",
        )

    # --- what is not needed any more -------------------------------------------------------------

    def drop(self, keep: int) -> Dropped | None:
        """Remove all but the newest snapshots, and then the files that none of these names.

        Args:
            keep: snapshots that stay, at least 1.

        Returns:
            What was removed; None where a backup or a restore uses the folder, or its file system
            has no locks: then nothing was.

        Raises:
            CorruptArtifact: a snapshot that stays cannot be read; nothing was removed.
        """
        with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
            if not alone:
                return None
            names = self.snapshots()
            needed = {one.sha256 for name in names[-keep:] for one in self._snapshot(name).objects}
            for name in names[:-keep]:
                (self._folder / name).unlink()
            files = [
                path
                for path in self._folder.glob("objects/**/*")
                if path.is_file() and path.name not in needed
            ]
            n_bytes = sum(path.stat().st_size for path in files)
            for path in files:
                path.unlink()
            return Dropped(len(names[:-keep]), len(files), n_bytes)

    @contextmanager
    def _locked(self, how: int) -> Iterator[bool]:
        """Whether the folder's lock is had: others may have it, and not every file system has locks
        or may be written to."""
        try:
            file = (self._folder / "snapshots/lock").open("a+")
        except OSError:
            yield False
            return
        with file:
            try:
                fcntl.flock(file, how)
            except OSError:
                had = False
            else:
                had = True
            yield had

    # ---------------------------------------------------------------------------------------------

    def snapshots(self) -> list[str]:
        """Names of all snapshots, oldest first."""
        return sorted(f"snapshots/{path.name}" for path in self._folder.glob("snapshots/*.json"))

    def _newest(self) -> Snapshot:
        names = self.snapshots()
        if not names:
            raise NotFound(
                f"{self._folder} has no snapshot.",
                field="folder",
                remedy="give the folder that `reclens backup` was given.",
            )
        return self._snapshot(names[-1])

    def _snapshot(self, name: str) -> Snapshot:
        try:
            told: Any = json.loads((self._folder / name).read_bytes())
            return Snapshot.parse(told)
        except (InvalidInput, ValueError) as error:
            raise CorruptArtifact(
                f"{name} cannot be read ({error}).",
                field="folder",
                remedy="remove it: the snapshot before is taken then.",
            ) from error

    def _path(self, sha256: str) -> Path:
        return path_below(self._folder / "objects", f"{sha256[:2]}/{sha256}")

    def _file(self, sha256: str, size: int) -> Path | None:
        """The file of that name, where it has that size."""
        path = self._path(sha256)
        return path if path.exists() and path.stat().st_size == size else None

    def _outcome(self, name: str, snapshot: Snapshot) -> Outcome:
        total = sum(one.size for one in snapshot.objects)
        return Outcome(name, len(snapshot.objects), total, self._copied, self._copied_bytes)
