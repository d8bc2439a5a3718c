"""Conducts pipelines: plans the stages, chains them, and publishes the release at the end.

These actions never block a queue for long: the one thing that they compute is people's corrections,
which takes seconds.
"""

from __future__ import annotations

import uuid

from celery import Task, chain

from reclens.contracts import (
    ConceptCorrectionsSpec,
    JobResult,
    PipelineSpec,
    Release,
    ReleaseAction,
    ReleaseChangeSpec,
    ReleaseSpec,
)
from reclens.errors import InvalidSpec
from reclens.platform.jobs.runner import JobRunner, planned
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.label_corrections import CorrectionLog, machine_concepts_of


def run_pipeline(spec: PipelineSpec, task: Task, runner: JobRunner) -> JobResult:
    """Hand the job over to a chain of its stages; the last one finishes under its id."""
    stages = spec.plan()
    job_id = str(task.request.id)
    # The same ones, should the message be delivered again: what is shown is what runs.
    ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{job_id}/{stage.name}")) for stage in stages]
    ids[-1] = job_id
    runner.runtime.joblog.planned(job_id, list(zip(ids, stages, strict=True)))
    signatures = [
        planned(
            task.app.signature(stage.task, kwargs={"spec": stage.spec}, immutable=True),
            stage.artifact,
        )
        for stage in stages
    ]
    for stage_id, signature in zip(ids[:-1], signatures, strict=False):
        signature.set(task_id=stage_id)
    return task.replace(chain(*signatures))  # type: ignore[return-value]


def publish(spec: ReleaseSpec, task: Task, runner: JobRunner) -> JobResult:
    """Publish a version of a release, after checking that its artifacts belong together.

    What people said of the autoencoder's concepts stands over any labelling: where there is a log
    of corrections, it is applied first, and the release names the concepts that come of it.

    Raises:
        StaleRelease: what is served was ordered later than this, or is not what was expected.
        ReleasePinned: what is served is to stay.
    """
    store = runner.runtime.store
    check_release(store, spec)
    ordered_at = spec.ordered_at or runner.runtime.joblog.submitted_at(str(task.request.id))
    release = store.releases.publish(
        _draft(spec, _edited(spec, task, runner), ordered_at), expected=spec.expected
    )
    # Again where somebody corrected meanwhile: what they published, this may have followed.
    while (concepts := _edited(spec, task, runner)) != release.concepts:
        release = store.releases.publish(
            _draft(spec, concepts, ordered_at), expected=release.number
        )
    return _result(release)


def change_release(spec: ReleaseChangeSpec, _task: Task, runner: JobRunner) -> JobResult:
    """Go back to an earlier version of a release, or pin the newest, or unpin it."""
    releases = runner.runtime.store.releases
    said = {"author": spec.author, "reason": spec.reason, "expected": spec.expected}
    if spec.action is ReleaseAction.ROLLBACK:
        return _result(releases.rollback(spec.name, to=spec.to, **said))
    pinned = spec.action is ReleaseAction.PIN
    return _result(releases.set_pinned(spec.name, pinned=pinned, **said))


def _result(release: Release) -> JobResult:
    return JobResult(
        artifact=f"releases/{release.name}",
        metrics={"number": release.number, "version": release.version},
    )


def _edited(spec: ReleaseSpec, task: Task, runner: JobRunner) -> str:
    """The concepts with all corrections that there are now; made where they were not yet."""
    store = runner.runtime.store
    machine, applied = machine_concepts_of(store, spec.concepts)
    corrections = CorrectionLog(store, spec.autoencoder).read()
    if len(corrections) <= applied:
        return spec.concepts
    correction = ConceptCorrectionsSpec.of(machine, corrections)
    runner.make(task, correction)
    return correction.artifact_ref()


def _draft(spec: ReleaseSpec, concepts: str, ordered_at: str) -> Release:
    """A version with the parts of ``spec``, and with these concepts."""
    current = spec.model_copy(update={"concepts": concepts})
    return Release(
        name=current.name,
        version=current.version(),
        recommender=current.recommender,
        autoencoder=current.autoencoder,
        concepts=current.concepts,
        published_at="",
        ordered_at=ordered_at,
    )


def check_release(store: ArtifactStore, spec: ReleaseSpec) -> None:
    """Refuse a release whose parts were not made from one another.

    Raises:
        InvalidSpec: names the part that does not fit.
        NotFound: a part does not exist.
    """
    upstream = store.lineage(spec.concepts)
    for part in ("autoencoder", "recommender"):
        wanted, made_from = getattr(spec, part), upstream.get(part)
        if wanted != made_from:
            raise InvalidSpec(
                f"{spec.concepts} was made from {made_from}, the release names {wanted}.",
                field=part,
                remedy="name artifacts of one lineage (`reclens artifacts show`).",
            )
