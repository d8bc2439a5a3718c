"""Artifacts in the object store: read with every byte verified, committed by their manifest."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import platform
import secrets
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from reclens.contracts import (
    ArtifactKind,
    JobSpec,
    Manifest,
    ObjectEntry,
    canonical_json,
    object_key,
    sha256_hex,
    split_ref,
)
from reclens.contracts.artifacts import InputEntry
from reclens.contracts.tables import LATENTS
from reclens.errors import CorruptArtifact, InvalidSpec, NotFound
from reclens.platform.files import path_below
from reclens.platform.settings.models import StoreSettings
from reclens.platform.store.cache_quota import CacheQuota
from reclens.platform.store.objects import STORES, ObjectStore
from reclens.platform.store.releases import ReleaseLog

if TYPE_CHECKING:
    import numpy as np

MANIFEST = "manifest.json"
_MAX_MANIFEST_BYTES: Final = 4 << 20  # of some 30,000 objects
_CODES: Final = "codes-*.parquet"
_LIBRARIES = ("reclens", "torch", "numpy", "pyarrow", "scikit-learn")
_PARTS = {ArtifactKind.CONCEPT_SHARDS}


class ArtifactStore:
    """All artifacts and releases of one bucket.

    Objects are copied to a local cache whose file names are checksums, so a copy is verified once
    and serves every artifact that has the same bytes.
    """

    def __init__(
        self, objects: ObjectStore, cache_dir: Path, cache_max_bytes: int | None = None
    ) -> None:
        self.objects = objects
        self.releases = ReleaseLog(objects)
        self._cache = cache_dir
        self._max_bytes = cache_max_bytes

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """Connect as ``settings`` say; nothing is sent until the first call.

        Raises:
            NotFound, InvalidInput: no such store is installed, or it cannot be used.
        """
        objects = STORES.load(settings.store.kind).from_settings(settings)
        return cls(objects, settings.cache_dir, settings.cache_max_bytes)

    @cached_property
    def _quota(self) -> CacheQuota | None:
        """Made at first use: it belongs to the process that reads."""
        return None if self._max_bytes is None else CacheQuota(self._cache, self._max_bytes)

    # --- artifacts -------------------------------------------------------------------------------

    def exists(self, ref: str) -> bool:
        """Whether the artifact is committed."""
        split_ref(ref)
        return self.objects.exists(f"{ref}/{MANIFEST}")

    def manifest(self, ref: str) -> Manifest:
        """The artifact's manifest.

        Raises:
            NotFound: the artifact does not exist, or was never committed.
            CorruptArtifact: the manifest cannot be read, or belongs to another artifact.
        """
        return self._read_manifest(ref)[0]

    def _read_manifest(self, ref: str) -> tuple[Manifest, bytes]:
        split_ref(ref)
        try:
            data = self.objects.get_document(f"{ref}/{MANIFEST}", _MAX_MANIFEST_BYTES)
        except NotFound as error:
            raise NotFound(
                f"there is no artifact {ref}.",
                field="artifact",
                remedy="`reclens artifacts list` shows those that exist.",
            ) from error
        try:
            manifest = Manifest.parse(data)
        except InvalidSpec as error:
            raise _corrupt(
                ref, MANIFEST, f"the manifest cannot be read ({error.message})"
            ) from error
        if manifest.artifact != ref:
            raise _corrupt(ref, MANIFEST, f"the manifest names {manifest.artifact}")
        return manifest, data

    def list(self, kind: ArtifactKind | None = None) -> list[Manifest]:
        """Manifests of all committed artifacts, of one kind if given, newest first.

        Shards are parts of an artifact to be: they are listed when their kind is asked for.
        """
        kinds = [kind] if kind else [one for one in ArtifactKind if one not in _PARTS]
        refs = [
            key.removesuffix(f"/{MANIFEST}")
            for one in kinds
            for key in self.objects.list(f"{one.value}/")
            if key.endswith(f"/{MANIFEST}")
        ]
        manifests = [self.manifest(ref) for ref in refs]
        return sorted(manifests, key=lambda manifest: manifest.created_at, reverse=True)

    def lineage(self, ref: str) -> dict[str, str]:
        """All artifacts upstream of ``ref``, by role (``dataset``, ``recommender``, ...).

        Raises:
            NotFound: the artifact or one upstream of it does not exist.
            CorruptArtifact: one upstream is not what was read when the next was made from it.
        """
        found: dict[str, str] = {}
        waiting = [self.manifest(ref)]
        while waiting:
            for role, entry in waiting.pop().inputs.items():
                manifest, data = self._read_manifest(entry.artifact)
                if sha256_hex(data) != entry.manifest_sha256:
                    raise _corrupt(
                        entry.artifact, MANIFEST, "it is not the one that others were made from"
                    )
                if role not in found:
                    found[role] = entry.artifact
                    waiting.append(manifest)
        return found

    def fetch(self, ref: str, name: str) -> Path:
        """A verified local copy of one object. Do not write to it.

        Raises:
            NotFound: the artifact or the object does not exist.
            CorruptArtifact: size or checksum differ from the manifest.
        """
        manifest = self.manifest(ref)
        return self._fetch(manifest, manifest.object(name))

    def fetch_all(self, ref: str) -> Path:
        """A local folder with all objects of the artifact under their own names, verified."""
        manifest = self.manifest(ref)
        folder = (self._quota.folder if self._quota else self._cache) / "artifacts" / ref
        for entry in manifest.objects:
            copy = self._fetch(manifest, entry)
            link = path_below(folder, entry.name)
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists() or not link.samefile(copy):
                fresh = link.with_name(f".{link.name}.{os.getpid()}")
                fresh.unlink(missing_ok=True)
                os.link(copy, fresh)
                fresh.replace(link)
        return folder

    def _fetch(self, manifest: Manifest, entry: ObjectEntry) -> Path:
        if self._quota is None:
            return self._copy(manifest, entry)
        held = self._quota.find(entry.sha256, entry.size)
        while held is None:
            with suppress(FileNotFoundError):  # another process has just evicted it
                held = self._quota.hold(self._copy(manifest, entry))
        return held

    def _copy(self, manifest: Manifest, entry: ObjectEntry) -> Path:
        copy = path_below(self._cache / "objects", f"{entry.sha256[:2]}/{entry.sha256}")
        if copy.exists() and copy.stat().st_size == entry.size:
            return copy
        copy.parent.mkdir(parents=True, exist_ok=True)
        key, digest, size = manifest.key(entry.name), hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=copy.parent, delete=False) as partial:
            try:
                try:
                    for chunk in self.objects.get_chunks(key):
                        partial.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
                except NotFound as error:
                    raise _corrupt(
                        manifest.artifact, entry.name, "the manifest names it, but it is not there"
                    ) from error
                partial.flush()
                if size != entry.size or digest.hexdigest() != entry.sha256:
                    raise _corrupt(
                        manifest.artifact,
                        entry.name,
                        f"{size} bytes with SHA-256 {digest.hexdigest()[:12]}..., the manifest "
                        f"promises {entry.size} with {entry.sha256[:12]}...",
                    )
                Path(partial.name).replace(copy)
            finally:
                Path(partial.name).unlink(missing_ok=True)
        return copy


class ArtifactWriter:
    """One attempt to make an artifact: objects first, the manifest last. Without `commit` nothing
    exists.

    An attempt writes into a folder of its own and removes nothing of others before it has
    committed, so any number of them may run at once, and a write that arrives late harms nothing.
    Objects of one that was interrupted can be taken over: they stay where they are.
    """

    def __init__(self, store: ArtifactStore, spec: JobSpec) -> None:
        self.ref = spec.artifact_ref()
        self._store = store
        self._spec = spec
        self._attempt = secrets.token_hex(8)
        self._objects: dict[str, ObjectEntry] = {}
        self._inputs: dict[str, InputEntry] = {}
        self._handed_on: set[str] = set()
        self._committing = False

    def pin_inputs(self) -> None:
        """Note what the inputs are now; `commit` refuses where they are another then.

        Raises:
            NotFound, CorruptArtifact: an input does not exist, or cannot be read.
        """
        self._inputs = {
            role: InputEntry(
                artifact=ref, manifest_sha256=sha256_hex(self._store._read_manifest(ref)[1])
            )
            for role, ref in self._spec.input_refs().items()
        }

    def add(self, path: Path, name: str | None = None) -> None:
        """Upload a finished file as object ``name`` (default: the file's name).

        Raises:
            InvalidInput: that is no name of an object.
        """
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        entry = ObjectEntry.parse(
            {"name": name or path.name, "size": path.stat().st_size, "sha256": digest}
        )
        self._store.objects.put_file(object_key(self.ref, self._attempt, entry.name), path)
        self._objects[entry.name] = entry

    def hand_on(self) -> dict[str, Any]:
        """What was uploaded so far, as JSON for another attempt to `take_over`. From now on
        `discard` leaves it."""
        self._handed_on |= self._objects.keys()
        entries = (
            entry.model_copy(update={"attempt": entry.attempt or self._attempt})
            for entry in self._objects.values()
        )
        return {
            "objects": [entry.canonical() for entry in entries],
            "inputs": {role: entry.canonical() for role, entry in self._inputs.items()},
        }

    def take_over(self, parts: dict[str, Any]) -> bool:
        """Go on after what another attempt has handed on.

        Returns:
            False where it was made from other inputs, or is not all there: nothing of it is used.
        """
        objects = [ObjectEntry.parse(entry) for entry in parts["objects"]]
        inputs = {role: InputEntry.parse(entry) for role, entry in parts["inputs"].items()}
        keys = {object_key(self.ref, entry.attempt, entry.name) for entry in objects}
        if inputs != self._inputs or not keys.issubset(self._store.objects.list(f"{self.ref}/")):
            return False
        self._objects = {entry.name: entry for entry in objects}
        return True

    def commit(
        self,
        metrics: dict[str, Any],
        seconds: float,
        peak_memory_bytes: int | None = None,
        devices: Sequence[str] = (),
    ) -> Manifest:
        """Write the manifest. Where another attempt was first, its manifest is returned.

        Raises:
            CorruptArtifact: an input is another than it was, or an object is gone.
        """
        pinned = self._inputs
        self.pin_inputs()
        for role, entry in pinned.items():
            if self._inputs[role] != entry:
                raise _corrupt(
                    entry.artifact, MANIFEST, "it has changed since the job began to read it"
                )
        manifest = Manifest(
            artifact=self.ref,
            task=self._spec.JOB.task,
            spec=self._spec.canonical(),
            inputs=self._inputs,
            objects=sorted(self._objects.values(), key=lambda entry: entry.name),
            attempt=self._attempt,
            metrics=metrics,
            versions=_versions(),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
            peak_memory_bytes=peak_memory_bytes,
            devices=list(devices),
        )
        written = {manifest.key(name) for name in self._objects}
        if missing := written.difference(self._store.objects.list(f"{self.ref}/")):
            if self._store.exists(self.ref):
                # Whoever committed meanwhile has removed what it had no use for.
                return self._store.manifest(self.ref)
            name = min(missing).removeprefix(f"{self.ref}/")
            raise _corrupt(self.ref, name, "it was uploaded, but is not there")
        data = canonical_json(manifest.canonical())
        self._committing = True
        committed = self._store.objects.put_if_absent(f"{self.ref}/{MANIFEST}", data)
        if not committed and (first := self._store.manifest(self.ref)).attempt != self._attempt:
            self._committing = False
            # What it had handed on may be what the first one took over.
            self.discard()
            return first
        # From now on no other attempt can commit: what any has left is of no use.
        for key in self._store.objects.list(f"{self.ref}/"):
            if key not in written and key != f"{self.ref}/{MANIFEST}":
                self._store.objects.delete(key)
        return manifest

    def discard(self) -> None:
        """Remove what this attempt uploaded and has not handed on. Where a manifest may still
        arrive, nothing is."""
        if self._committing:
            return
        kept = {object_key(self.ref, self._attempt, name) for name in self._handed_on}
        for key in self._store.objects.list(f"{self.ref}/{self._attempt}/"):
            if key not in kept:
                self._store.objects.delete(key)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _corrupt(ref: str, name: str, what: str) -> CorruptArtifact:
    return CorruptArtifact(
        f"{ref}/{name}: {what}.",
        field=f"{ref}/{name}",
        remedy=f"delete the folder {ref}/ in the bucket and submit the job again.",
    )


# --- what an autoencoder's artifact holds of its latents -----------------------------------------


def codes_of(store: ArtifactStore, autoencoder: str) -> list[Path]:
    """Verified local copies of its shards of codes, in their order.

    Args:
        store: with the autoencoder.
        autoencoder: ``autoencoders/id``.

    Raises:
        NotFound: there is no such artifact.
    """
    names = (entry.name for entry in store.manifest(autoencoder).objects)
    return [store.fetch(autoencoder, name) for name in sorted(fnmatch.filter(names, _CODES))]


def scale_of(store: ArtifactStore, autoencoder: str) -> np.ndarray:
    """The 99th percentile of each latent's activation, float32 [n_latents]; 0 where it never fires.

    Args:
        store: with the autoencoder.
        autoencoder: ``autoencoders/id``.

    Raises:
        NotFound: there is no such artifact.
        CorruptArtifact: its table cannot be read.
    """
    return LATENTS.read(store.fetch(autoencoder, LATENTS.file), ["p99"])["p99"].to_numpy()
