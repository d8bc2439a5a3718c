"""What must hold when a round is over, whatever broke meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reclens.contracts import ArtifactKind, Manifest, Release
from reclens.errors import NotFound, RecLensError
from reclens.platform.jobs.view import JobState, JobView
from reclens.platform.store.objects import ObjectStore

_MANIFEST = "manifest.json"
_KINDS = tuple(f"{kind.value}/" for kind in ArtifactKind)
_KNOWN = ("checkpoints/", "dead-letters/")
_LOGS = ("releases/", "edits/")


def digest(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def snapshot(store: ObjectStore) -> dict[str, bytes]:
    """Every object by key."""
    found = {}
    for key in store.list(""):
        try:
            found[key] = store.get(key)
        except NotFound:  # removed since it was listed
            continue
    return found


@dataclass(frozen=True)
class Artifacts:
    """What an undisturbed run leaves."""

    makes: Mapping[str, Mapping[str, str]]
    """SHA-256 of each object by name, by reference of the artifact."""
    kept: Mapping[str, str]
    """SHA-256 by key of what was there before and must not change."""
    release: Release | None
    """The release that is published."""
    releases: tuple[str, ...] = ()
    """Names of releases that may be there."""


@dataclass
class Watched:
    """One accepted job, and all that was seen of it."""

    job_id: str
    states: list[JobState] = field(default_factory=list)
    """Each state that it was seen in, in order."""
    view: JobView | None = None
    """As last seen; None: nobody knows of it."""

    def see(self, view: JobView | None) -> None:
        """Note a look at it."""
        if view is None:
            return
        if not self.states or self.states[-1] is not view.state:
            self.states.append(view.state)
        self.view = view

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.view is not None and self.view.state.final


def job_faults(job: Watched, explained_by: Iterable[str]) -> list[str]:
    """What is wrong with where a job is.

    Args:
        job: that was accepted.
        explained_by: names of errors that what was broken explains.
    """
    view = job.view
    if view is None:
        return [f"job {job.job_id} is unknown"]
    found = []
    for before, after in zip(job.states, job.states[1:], strict=False):
        if before.final:
            found.append(f"job {job.job_id} left its final state {before} for {after}")
    if not view.state.final:
        return [*found, f"job {job.job_id} is still {view.state}: {_where(view)}"]
    if view.state is JobState.SUCCEEDED:
        late = [stage.name for stage in view.stages if stage.state is not JobState.SUCCEEDED]
        if late:
            found.append(f"job {job.job_id} is SUCCEEDED and its stages {late} are not")
    elif view.state in (JobState.FAILED, JobState.PARTIAL):
        error = view.error
        told = f"{error.type}: {error.message}" if error else "no error"
        # A partial labelling names the errors of its shards.
        if not any(name in told for name in explained_by):
            found.append(f"job {job.job_id} is {view.state}, which nothing explains ({told[:300]})")
    else:
        found.append(f"job {job.job_id} is {view.state}, and nobody asked for that")
    return found


def _where(view: JobView) -> str:
    open_stages = [f"{one.name} {one.state}" for one in view.stages if not one.state.final]
    open_shards = [f"{one.first}+ {one.state}" for one in view.shards if not one.state.final]
    return ", ".join([*open_stages, *open_shards]) or "nothing under way is known"


def artifact_faults(objects: Mapping[str, bytes], expected: Artifacts) -> list[str]:
    """What is wrong with the artifacts of a job that has succeeded."""
    found = []
    for ref, wanted in expected.makes.items():
        manifest = objects.get(f"{ref}/{_MANIFEST}")
        if manifest is None:
            found.append(f"the job is SUCCEEDED and {ref} has no manifest")
            continue
        try:
            listed = {one.name: one.sha256 for one in Manifest.parse(manifest).objects}
        except RecLensError:
            continue  # told by `store_faults`
        for name in sorted(set(wanted) | set(listed)):
            if wanted.get(name) != listed.get(name):
                found.append(
                    f"{ref}/{name} is {_short(listed.get(name))}, and "
                    f"{_short(wanted.get(name))} in the undisturbed run"
                )
    if expected.release is not None:
        found += _release_faults(objects, expected.release)
    return found


def _release_faults(objects: Mapping[str, bytes], release: Release) -> list[str]:
    versions = sorted(key for key in objects if key.startswith(f"releases/{release.name}/"))
    if not versions:
        return [f"the job is SUCCEEDED and release {release.name} is not there"]
    try:
        version = Release.parse(objects[versions[-1]]).version
    except RecLensError as error:
        return [f"{versions[-1]} cannot be read ({error.message})"]
    if version != release.version:
        return [f"release {release.name} has version {version} instead of {release.version}"]
    return []


def store_faults(objects: Mapping[str, bytes], expected: Artifacts) -> list[str]:
    """What is wrong with the store, whatever became of the jobs: every manifest has its objects and
    its inputs, and what was there before is as it was."""
    found = []
    for key, data in objects.items():
        if key.endswith(f"/{_MANIFEST}"):
            ref = key.removesuffix(f"/{_MANIFEST}")
            try:
                manifest = Manifest.parse(data)
            except RecLensError as error:
                found.append(f"{key} cannot be read ({error.message})")
                continue
            found += _manifest_faults(objects, ref, manifest)
    for key, sha256 in expected.kept.items():
        if key not in objects:
            found.append(f"{key} was there before and is gone")
        elif digest(objects[key]) != sha256:
            found.append(f"{key} was there before and has changed")
    return found


def _manifest_faults(objects: Mapping[str, bytes], ref: str, manifest: Manifest) -> list[str]:
    found = []
    if manifest.artifact != ref:
        found.append(f"the manifest of {ref} names {manifest.artifact}")
    for entry in manifest.objects:
        data = objects.get(manifest.key(entry.name))
        if data is None:
            found.append(f"{ref} has a manifest and no object {entry.name}")
        elif digest(data) != entry.sha256 or len(data) != entry.size:
            found.append(f"{ref}/{entry.name} differs from its manifest")
    for role, entry in manifest.inputs.items():
        data = objects.get(f"{entry.artifact}/{_MANIFEST}")
        if data is None or digest(data) != entry.manifest_sha256:
            found.append(f"{ref} was made from another {role} than there is")
    return found


def collected_faults(objects: Mapping[str, bytes], served: Mapping[str, bytes]) -> list[str]:
    """What is wrong with the store after a garbage collection that spares nothing young: all that
    releases need must be there, and nothing else.

    Args:
        objects: by key, as left.
        served: what was there before the first round; what releases need of it must still be.
    """
    manifests = {
        key.removesuffix(f"/{_MANIFEST}"): Manifest.parse(data)
        for key, data in objects.items()
        if key.endswith(f"/{_MANIFEST}")
    }
    needed: set[str] = set()
    waiting = {
        ref
        for key, data in objects.items()
        if key.startswith("releases/")
        for one in [Release.parse(data)]
        for ref in (one.recommender, one.autoencoder, one.concepts)
    }
    while waiting:
        needed.add(ref := waiting.pop())
        inputs = manifests[ref].inputs.values() if ref in manifests else ()
        waiting |= {entry.artifact for entry in inputs} - needed
    evaluations = {
        ref
        for ref, manifest in manifests.items()
        if ref.startswith(f"{ArtifactKind.EVALUATION.value}/")
        and manifest.inputs["concepts"].artifact in needed
    }
    found = [f"gc has removed {ref}, which is needed" for ref in sorted(needed - set(manifests))]
    kept: set[str] = set()
    for ref in (needed | evaluations) & set(manifests):
        found += _manifest_faults(objects, ref, manifests[ref])
        kept |= {
            f"{ref}/{_MANIFEST}",
            *(manifests[ref].key(o.name) for o in manifests[ref].objects),
        }
    left = [key for key in objects if key not in kept and not key.startswith(_LOGS)]
    stays = [key for key in served if key in kept or key.startswith(_LOGS)]
    gone = [key for key in stays if objects.get(key) != served[key]]
    found += [f"gc has left {key}" for key in sorted(left)]
    return found + [f"gc has removed or changed {key}" for key in sorted(gone)]


@dataclass(frozen=True)
class Strays:
    """Objects that no manifest names."""

    accounted: list[str]
    """Of kinds that an interrupted job may leave, for a garbage collection to find."""
    unknown: list[str]
    """Of no kind that anybody knows."""


def strays(objects: Mapping[str, bytes], expected: Artifacts) -> Strays:
    """Every object that is neither of a manifest, nor a release, nor was there before."""
    releases = tuple(f"releases/{name}/" for name in expected.releases)
    named = {key for key in objects if key.startswith(releases)} | set(expected.kept)
    for key, data in objects.items():
        if key.endswith(f"/{_MANIFEST}"):
            named.add(key)
            try:
                manifest = Manifest.parse(data)
            except RecLensError:
                continue
            named |= {manifest.key(one.name) for one in manifest.objects}
    left = [key for key in objects if key not in named]
    accounted = [key for key in left if key.startswith((*_KINDS, *_KNOWN))]
    return Strays(accounted, [key for key in left if key not in accounted])


def verdict(
    objects: Mapping[str, bytes],
    expected: Artifacts,
    jobs: Sequence[Watched],
    explained_by: Iterable[str],
) -> list[str]:
    """Everything that is wrong; nothing: all is as it must be."""
    explained_by = tuple(explained_by)
    found = [fault for job in jobs for fault in job_faults(job, explained_by)]
    amiss = artifact_faults(objects, expected)
    if any(job.view is not None and job.view.state is JobState.SUCCEEDED for job in jobs):
        found += amiss
    elif not amiss and any(job.final for job in jobs):
        found.append("the job is not SUCCEEDED, and everything that it makes is there")
    found += store_faults(objects, expected)
    return [*found, *(f"{key} is of no known kind" for key in strays(objects, expected).unknown)]


def _short(sha256: str | None) -> str:
    return "missing" if sha256 is None else sha256[:12]
