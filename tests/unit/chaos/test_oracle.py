"""The oracle of the rounds notices what is planted: lost objects, changed bytes, false states."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chaos.oracle import (
    Artifacts,
    Watched,
    collected_faults,
    digest,
    job_faults,
    strays,
    verdict,
)

from reclens.contracts import Manifest, ObjectEntry, Release, canonical_json
from reclens.platform.jobs.view import JobError, JobState, JobView, StageView

UPSTREAM, MADE = "datasets/00000000000000aa", "recommenders/00000000000000bb"
RELEASE = Release(
    name="chaos",
    version="1" * 16,
    recommender=MADE,
    autoencoder="autoencoders/00000000000000cc",
    concepts="concepts/00000000000000dd",
    published_at="2024-01-01T00:00:00+00:00",
)
FILES = {"model.safetensors": b"weights", "items.parquet": b"items"}


def artifact(ref: str, files: dict[str, bytes], inputs: dict[str, dict[str, str]]) -> dict:
    manifest = Manifest(
        artifact=ref,
        task="a task",
        spec={},
        inputs=inputs,  # type: ignore[arg-type]
        objects=[ObjectEntry(name=n, size=len(d), sha256=digest(d)) for n, d in files.items()],
        metrics={},
        versions={},
        created_at="2024-01-01T00:00:00+00:00",
        seconds=1.0,
    )
    found = {f"{ref}/{name}": data for name, data in files.items()}
    return {**found, f"{ref}/manifest.json": canonical_json(manifest.canonical())}


@pytest.fixture
def objects() -> dict[str, bytes]:
    """A store after a round in which nothing went wrong."""
    upstream = artifact(UPSTREAM, {"users.parquet": b"users"}, {})
    pin = digest(upstream[f"{UPSTREAM}/manifest.json"])
    inputs = {"dataset": {"artifact": UPSTREAM, "manifest_sha256": pin}}
    made = artifact(MADE, FILES, inputs)
    return {**upstream, **made, "releases/chaos/000001.json": canonical_json(RELEASE.canonical())}


@pytest.fixture
def expected(objects: dict[str, bytes]) -> Artifacts:
    kept = {key: digest(data) for key, data in objects.items() if key.startswith(UPSTREAM)}
    makes = {MADE: {name: digest(data) for name, data in FILES.items()}}
    return Artifacts(makes, kept, RELEASE, ("chaos",))


def watched(*states: JobState, error: JobError | None = None) -> Watched:
    job = Watched("j1")
    for state in states:
        job.see(JobView(id="j1", task="a task", state=state, spec={}, error=error))
    return job


SUCCEEDED = (JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED)


def faults(objects: dict[str, bytes], expected: Artifacts) -> list[str]:
    return verdict(objects, expected, [watched(*SUCCEEDED)], ())


def test_nothing_is_wrong_after_an_undisturbed_run(objects: dict[str, bytes], expected: Artifacts):
    assert faults(objects, expected) == []


def test_a_missing_object(objects: dict[str, bytes], expected: Artifacts):
    del objects[f"{MADE}/items.parquet"]
    assert faults(objects, expected) == [f"{MADE} has a manifest and no object items.parquet"]


def test_a_changed_byte(objects: dict[str, bytes], expected: Artifacts):
    objects[f"{MADE}/items.parquet"] = b"itemz"
    assert faults(objects, expected) == [f"{MADE}/items.parquet differs from its manifest"]


def test_a_job_that_succeeded_without_a_manifest(objects: dict[str, bytes], expected: Artifacts):
    del objects[f"{MADE}/manifest.json"]
    assert faults(objects, expected) == [f"the job is SUCCEEDED and {MADE} has no manifest"]


def test_an_artifact_that_is_whole_and_another_one(objects: dict[str, bytes], expected: Artifacts):
    pin = digest(objects[f"{UPSTREAM}/manifest.json"])
    inputs = {"dataset": {"artifact": UPSTREAM, "manifest_sha256": pin}}
    objects |= artifact(MADE, {**FILES, "items.parquet": b"other"}, inputs)
    (fault,) = faults(objects, expected)
    assert "in the undisturbed run" in fault


def test_a_manifest_that_cannot_be_read(objects: dict[str, bytes], expected: Artifacts):
    objects[f"{MADE}/manifest.json"] = b'{"artifact":'
    assert any("cannot be read" in one for one in faults(objects, expected))


def test_an_input_that_was_replaced(objects: dict[str, bytes], expected: Artifacts):
    objects |= artifact(UPSTREAM, {"users.parquet": b"others"}, {})
    found = faults(objects, expected)
    assert f"{MADE} was made from another dataset than there is" in found
    assert f"{UPSTREAM}/users.parquet was there before and has changed" in found


def test_what_was_there_before_and_is_gone(objects: dict[str, bytes], expected: Artifacts):
    del objects[f"{UPSTREAM}/users.parquet"]
    assert f"{UPSTREAM}/users.parquet was there before and is gone" in faults(objects, expected)


def test_a_release_that_is_missing_or_another(objects: dict[str, bytes], expected: Artifacts):
    other = RELEASE.model_copy(update={"version": "2" * 16})
    objects["releases/chaos/000001.json"] = canonical_json(other.canonical())
    (fault,) = faults(objects, expected)
    assert "instead of" in fault
    objects["releases/chaos/000002.json"] = canonical_json(RELEASE.canonical())
    assert faults(objects, expected) == []
    del objects["releases/chaos/000001.json"], objects["releases/chaos/000002.json"]
    (fault,) = faults(objects, expected)
    assert "is not there" in fault


def test_strays_are_listed_and_only_those_of_no_known_kind_are_wrong(
    objects: dict[str, bytes], expected: Artifacts
):
    half, checkpoint = "recommenders/00000000000000ee/half", f"checkpoints/{MADE}/latest.json"
    objects |= {half: b"", checkpoint: b"{}"}
    assert faults(objects, expected) == []
    assert sorted(strays(objects, expected).accounted) == sorted([half, checkpoint])
    objects["tmp/what"] = b""
    assert faults(objects, expected) == ["tmp/what is of no known kind"]


def test_a_state_that_is_not_final(objects: dict[str, bytes], expected: Artifacts):
    found = verdict(objects, expected, [watched(JobState.QUEUED)], ())
    assert found == ["job j1 is still QUEUED: nothing under way is known"]


def test_a_job_that_nobody_knows():
    assert job_faults(Watched("j1"), ()) == ["job j1 is unknown"]


def test_a_final_state_that_was_left():
    job = watched(JobState.RUNNING, JobState.FAILED, JobState.RUNNING, JobState.SUCCEEDED)
    assert job_faults(job, ()) == ["job j1 left its final state FAILED for RUNNING"]


def test_a_failure_must_be_explained_by_the_fault():
    error = JobError(type="Unavailable", message="the object store does not answer.")
    job = watched(JobState.FAILED, error=error)
    assert job_faults(job, ("Unavailable",)) == []
    (fault,) = job_faults(job, ("MemoryError",))
    assert "which nothing explains" in fault


def test_a_failure_that_left_everything_it_should_have_made(
    objects: dict[str, bytes], expected: Artifacts
):
    error = JobError(type="ConnectionError", message="reset")
    job = watched(JobState.RUNNING, JobState.FAILED, error=error)
    found = verdict(objects, expected, [job], ("ConnectionError",))
    assert found == ["the job is not SUCCEEDED, and everything that it makes is there"]
    del objects[f"{MADE}/manifest.json"]
    assert verdict(objects, expected, [job], ("ConnectionError",)) == []


def test_a_job_that_nobody_cancelled():
    (fault,) = job_faults(watched(JobState.CANCELLED), ("Unavailable",))
    assert "nobody asked" in fault


def test_a_pipeline_that_succeeded_before_its_last_stage():
    job = watched(*SUCCEEDED)
    assert job.view is not None
    stage = StageView(
        name="release", job_id="j2", artifact="releases/chaos", state=JobState.RUNNING
    )
    job = replace(job, view=job.view.model_copy(update={"stages": (stage,)}))
    assert job_faults(job, ()) == ["job j1 is SUCCEEDED and its stages ['release'] are not"]


@pytest.fixture
def collected(objects: dict[str, bytes]) -> dict[str, bytes]:
    """A store with all that a release needs, and an evaluation of it."""
    autoencoder = artifact(RELEASE.autoencoder, {"weights": b"1"}, {})
    concepts = artifact(RELEASE.concepts, {"labels": b"2"}, {})
    pin = digest(concepts[f"{RELEASE.concepts}/manifest.json"])
    inputs = {"concepts": {"artifact": RELEASE.concepts, "manifest_sha256": pin}}
    return {**objects, **autoencoder, **concepts, **artifact(EVALUATION, {"report": b"3"}, inputs)}


EVALUATION = "evaluations/00000000000000ee"


def test_a_collected_store_has_what_releases_need(collected: dict[str, bytes]):
    assert collected_faults(collected, {}) == []


def test_what_garbage_collection_must_not_remove(collected: dict[str, bytes]):
    served = {f"{MADE}/items.parquet": b"items"}
    del collected[f"{MADE}/items.parquet"]
    assert collected_faults(collected, served) == [
        f"{MADE} has a manifest and no object items.parquet",
        f"gc has removed or changed {MADE}/items.parquet",
    ]
    del collected[f"{UPSTREAM}/manifest.json"]
    assert f"gc has removed {UPSTREAM}, which is needed" in collected_faults(collected, {})


@pytest.mark.parametrize(
    "orphan",
    [f"checkpoints/{MADE}/latest.json", "dead-letters/j1.json", f"{MADE}/attempt/items.parquet"],
)
def test_what_garbage_collection_must_not_leave(collected: dict[str, bytes], orphan: str):
    assert collected_faults({**collected, orphan: b"1"}, {}) == [f"gc has left {orphan}"]


def test_an_artifact_that_no_release_needs_is_left_over(collected: dict[str, bytes]):
    other = artifact("datasets/00000000000000ff", {"users.parquet": b"others"}, {})
    found = collected_faults({**collected, **other}, {})
    assert sorted(found) == sorted(f"gc has left {key}" for key in other)
