"""Garbage collection of a bucket: what nothing needs any more is found, and removed on request.

An artifact is needed where a release names it (in any version that is kept), where a pin, a job or
an artifact younger than the grace period does, and where one that is needed was made from it. An
evaluation is needed as long as the concepts that it evaluates.

It runs beside jobs. What they need is read before anything is listed, and all of it once more
before each artifact, checkpoint or attempt is removed; its manifest goes first, so that no reader
finds half of one. A job that is submitted in the moment in which an old input of it is removed
fails with NOT_FOUND, and makes it anew when it is submitted again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from reclens.contracts import ArtifactKind, Manifest, Release, split_ref
from reclens.errors import InvalidInput, NotFound, StoreRefused
from reclens.ops.retention.live_jobs import LiveJobs
from reclens.platform.llm.answer_cache import PREFIX as LLM_CACHE
from reclens.platform.settings.models import RetentionSettings
from reclens.platform.store.artifacts import MANIFEST, ArtifactStore
from reclens.platform.store.objects import StoredObject, UnfinishedUpload
from reclens.platform.store.policy_log import PolicyLog

_CHECKPOINTS: Final = "checkpoints/"
_DEAD_LETTERS: Final = "dead-letters/"


class Kind(StrEnum):
    """Why something is garbage."""

    ARTIFACT = "artifacts"
    """Committed, and nothing needs it."""
    ATTEMPT = "attempts"
    """Objects of attempts, which no manifest names."""
    CHECKPOINT = "checkpoints"
    """Of jobs that are over."""
    DEAD_LETTER = "dead letters"
    """Older than they are kept."""
    LLM_ANSWER = "LLM answers"
    """Older than they are kept."""
    UPLOAD = "uploads"
    """Begun and never finished. The store does not tell their size."""
    RELEASE_VERSION = "release versions"
    """More than are kept."""
    POLICY_VERSION = "policy versions"
    """More than are kept."""


@dataclass(frozen=True)
class Garbage:
    """What is removed together, or not at all."""

    kind: Kind
    name: str
    """The artifact for those that have one, else the object."""
    objects: tuple[StoredObject, ...] = ()
    """In the order in which they are removed."""
    upload: UnfinishedUpload | None = None
    """In their place."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(one.size for one in self.objects)


class Collector:
    """Finds garbage and removes it.

    Args:
        store: the bucket, with the rights of the account ``gc`` where anything is to be removed.
        jobs: what jobs need.
        settings: what else is kept.
    """

    def __init__(self, store: ArtifactStore, jobs: LiveJobs, settings: RetentionSettings) -> None:
        self._store = store
        self._objects = store.objects
        self._jobs = jobs
        self._settings = settings
        self._manifests: dict[str, Manifest] = {}
        self._versions: dict[tuple[str, int], Release] = {}
        self._young: set[str] = set()
        self._evaluations: list[str] = []

    def find(self) -> list[Garbage]:
        """All that nothing needs; nothing is changed.

        Raises:
            Unavailable: Redis or the store does not answer.
            CorruptArtifact: what is needed cannot be told, as a version of a release or the
                manifest of something that is needed cannot be read.
            InvalidInput: this kind of store does not tell how old its objects are.
        """
        # In this order: what a job commits after the look at jobs is young when it is listed.
        self._jobs.refs()
        now = self._objects.now()
        grace = now - timedelta(days=self._settings.grace_days)
        found: list[Garbage] = []
        artifacts = {
            ref: entries
            for kind in reversed(ArtifactKind)
            for ref, entries in _by_ref(self._objects.entries(f"{kind}/"), "").items()
        }
        checkpoints = _by_ref(self._objects.entries(_CHECKPOINTS), _CHECKPOINTS)
        uploads: list[UnfinishedUpload] = []
        with suppress(StoreRefused):  # of those who may look, not all may see them
            uploads = self._objects.unfinished_uploads()
        committed = {
            ref: entry.modified
            for ref, entries in artifacts.items()
            for entry in entries
            if entry.key == f"{ref}/{MANIFEST}"
        }
        self._young = {ref for ref, modified in committed.items() if modified > grace}
        self._evaluations = [
            ref for ref in committed if split_ref(ref).kind is ArtifactKind.EVALUATION
        ]
        needed = self.needed()
        # Downstream first: what is left, should this end in the middle, has all it was made from.
        for ref, entries in sorted(artifacts.items(), key=_committed, reverse=True):
            found += self._of_artifact(ref, entries, needed, grace)
        for ref, entries in checkpoints.items():
            if ref not in needed.by_jobs and all(e.modified <= grace for e in entries):
                # The pointer first.
                pointer_first = sorted(entries, key=lambda e: not e.key.endswith("/latest.json"))
                found.append(Garbage(Kind.CHECKPOINT, ref, tuple(pointer_first)))
        found += [
            Garbage(Kind.UPLOAD, one.key, upload=one)
            for one in uploads
            if one.begun <= grace and _ref_of(one.key) not in needed.by_jobs
        ]
        found += self._aged(Kind.DEAD_LETTER, _DEAD_LETTERS, self._settings.dead_letters_days, now)
        found += self._aged(Kind.LLM_ANSWER, f"{LLM_CACHE}/", self._settings.llm_answers_days, now)
        return [*found, *self._old_versions(grace)]

    def remove(self, garbage: Iterable[Garbage]) -> Iterator[Garbage]:
        """Remove what `find` has found, unless something needs it by now; yields what was removed.

        Raises:
            StoreRefused: these keys have no right to.
            Unavailable, CorruptArtifact: as for `find`.
        """
        for one in garbage:
            if not (left := self._still(one)):
                continue
            for entry in left.objects:
                self._objects.delete(entry.key)
            if left.upload is not None:
                self._objects.abort_upload(left.upload)
            yield left

    # --- what is needed --------------------------------------------------------------------------

    def needed(self) -> Needed:
        """What is needed just now.

        Raises:
            Unavailable, CorruptArtifact: as for `find`.
        """
        # Jobs before releases: one that publishes in between is seen in one of the two.
        by_jobs = self._jobs.refs()
        roots = {*by_jobs, *self._settings.pins.split(), *self._young}
        for release in self._releases()[0]:
            roots |= {release.recommender, release.autoencoder, release.concepts}
        reached = self._upstream(roots)
        told = {ref for ref in self._evaluations if self._inputs(ref).get("concepts") in reached}
        return Needed(frozenset(by_jobs), frozenset(self._upstream(reached | told)))

    def _upstream(self, refs: set[str]) -> set[str]:
        """These and all that they were made from."""
        reached: set[str] = set()
        waiting = list(refs)
        while waiting:
            ref = waiting.pop()
            if ref not in reached:
                reached.add(ref)
                waiting += self._inputs(ref).values()
        return reached

    def _inputs(self, ref: str) -> dict[str, str]:
        """What it was made from, by role; nothing where it is still to be made."""
        if ref not in self._manifests:
            try:
                self._manifests[ref] = self._store.manifest(ref)
            except NotFound:
                return {}
        inputs = self._manifests[ref].inputs
        return {role: entry.artifact for role, entry in inputs.items()}

    def _releases(self) -> tuple[list[Release], list[Release]]:
        """Versions of releases that are kept, and those that are more than are kept."""
        kept: list[Release] = []
        beyond: list[Release] = []
        for name, numbers in self._store.releases.numbers().items():
            for place, number in enumerate(reversed(numbers)):
                if (name, number) not in self._versions:
                    self._versions[name, number] = self._store.releases.version(name, number)
                version, limit = self._versions[name, number], self._settings.release_versions
                stays = limit is None or place < limit or version.pinned
                (kept if stays else beyond).append(version)
        return kept, beyond

    # --- what is garbage -------------------------------------------------------------------------

    def _of_artifact(
        self, ref: str, entries: list[StoredObject], needed: Needed, grace: datetime
    ) -> Iterator[Garbage]:
        manifest_key = f"{ref}/{MANIFEST}"
        committed = any(entry.key == manifest_key for entry in entries)
        if committed and ref not in needed.all:
            if all(entry.modified <= grace for entry in entries):
                manifest_first = sorted(entries, key=lambda entry: entry.key != manifest_key)
                yield Garbage(Kind.ARTIFACT, ref, tuple(manifest_first))
            return
        if ref in needed.by_jobs:
            return
        named = self._named(ref) if committed else set()
        left = [e for e in entries if e.modified <= grace and e.key not in named]
        if left:
            yield Garbage(Kind.ATTEMPT, ref, tuple(left))

    def _named(self, ref: str) -> set[str]:
        """Objects of a committed artifact."""
        manifest = self._store.manifest(ref)
        return {f"{ref}/{MANIFEST}", *(manifest.key(entry.name) for entry in manifest.objects)}

    def _aged(self, kind: Kind, prefix: str, days: float | None, now: datetime) -> list[Garbage]:
        if days is None:
            return []
        limit = now - timedelta(days=days)
        entries = self._objects.entries(prefix)
        return [Garbage(kind, one.key, (one,)) for one in entries if one.modified <= limit]

    def _old_versions(self, grace: datetime) -> list[Garbage]:
        settings, found = self._settings, dict[str, Kind]()
        for version in self._releases()[1]:
            # What was before there were numbers is no entry of a log.
            if version.number:
                key = f"releases/{version.name}/{version.number:06d}.json"
                found[key] = Kind.RELEASE_VERSION
        if settings.policy_versions is not None:
            log = PolicyLog(self._objects)
            for policy_id in log.newest():
                for number in log.versions(policy_id)[: -settings.policy_versions]:
                    found[f"policies/{policy_id}/{number:06d}.json"] = Kind.POLICY_VERSION
        entries = {
            entry.key: entry
            for prefix in ("releases/", "policies/")
            for entry in (self._objects.entries(prefix) if found else [])
        }
        return [
            Garbage(kind, key, (entries[key],))
            for key, kind in found.items()
            if key in entries and entries[key].modified <= grace
        ]

    # --- before it is removed --------------------------------------------------------------------

    def _still(self, one: Garbage) -> Garbage | None:
        """What is garbage of it by now."""
        ref = one.name if one.kind in _OF_ARTIFACTS else _ref_of(one.name)
        if not ref:
            return one
        if self._jobs.leased(ref):
            return None
        needed = self.needed()
        if one.kind is Kind.ARTIFACT:
            # What attempts added to it since stays for the next time.
            return None if ref in needed.all else one
        if ref in needed.by_jobs:
            return None
        if one.kind is not Kind.ATTEMPT:
            return one
        named = self._named(ref) if self._store.exists(ref) else set()
        left = tuple(entry for entry in one.objects if entry.key not in named)
        return Garbage(one.kind, ref, left) if left else None


@dataclass(frozen=True)
class Needed:
    """What is needed at a moment."""

    by_jobs: frozenset[str]
    """What jobs read or make: beside it, what no manifest names may be of use to them."""
    all: frozenset[str]
    """That, what releases, pins and young artifacts name, and all that it was made from."""


_OF_ARTIFACTS: Final = {Kind.ARTIFACT, Kind.ATTEMPT, Kind.CHECKPOINT}


def _ref_of(key: str) -> str:
    """The artifact that an object belongs to; empty where it belongs to none."""
    parts = key.removeprefix(_CHECKPOINTS).split("/", 2)
    try:
        return "/".join(parts[:2]) if split_ref("/".join(parts[:2])) else ""
    except InvalidInput:
        return ""


def _by_ref(entries: Iterable[StoredObject], above: str) -> dict[str, list[StoredObject]]:
    found: dict[str, list[StoredObject]] = defaultdict(list)
    for entry in entries:
        if ref := _ref_of(entry.key):
            found[ref].append(entry)
    return found


def _committed(item: tuple[str, list[StoredObject]]) -> datetime:
    """When the artifact was committed, or the last object of an attempt was added."""
    ref, entries = item
    manifest = [entry.modified for entry in entries if entry.key == f"{ref}/{MANIFEST}"]
    return max(manifest or [entry.modified for entry in entries])
