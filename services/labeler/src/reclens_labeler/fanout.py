"""Labelling as a fan-out: one job becomes a message per range of latents, and one that joins.

The shards are the header of a flat Celery chord and the join is its body, which goes on under the
labelling's own id, with whatever is chained to it. The chord only says when to look: what is there
is decided by the shards' manifests alone, so a part that is counted twice, or a message that is
delivered twice, commits nothing too early.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence, Set

from celery import Task, chord
from celery.canvas import Signature

from reclens import errors
from reclens.contracts import ConceptShardSpec, ConceptsSpec, FailureReport, JobResult, JobSpec
from reclens.contracts.specs.concepts import CONCEPTS_JOIN
from reclens.errors import InvalidInput, JobCancelled, Partial, RecLensError
from reclens.platform.jobs.runner import JobRunner, planned
from reclens.platform.jobs.view import JobState
from reclens.platform.store.artifacts import scale_of

_MAX_ROUNDS = 5


def plan(spec: ConceptsSpec, task: Task, runner: JobRunner) -> JobResult:
    """Send the shards that do not exist yet, and the join after them.

    Raises:
        NotFound: an input does not exist.
        InvalidInput: the data set is not the one that the autoencoder's recommender learned from.
        InvalidSpec: there would be too many shards.
    """
    if (found := runner.found(spec.artifact_ref())) is not None:
        return found
    learned = runner.runtime.store.lineage(spec.autoencoder).get("dataset")
    if learned != spec.dataset:
        raise InvalidInput(
            f"{spec.autoencoder} comes from {learned}, not from {spec.dataset}.",
            field="dataset",
            remedy="name the data set that the recommender was trained on.",
        )
    shards = _shards(spec, runner)
    missing = {shard.first for shard in missing_shards(shards, runner)}
    return _send(spec, task, runner, shards, send=missing, ids={})


def join(spec: ConceptsSpec, task: Task, runner: JobRunner) -> JobResult:
    """Join the shards, or send those again that are missing for no reason, or end partial.

    Raises:
        Partial: shards have failed for good; the others are kept.
        JobCancelled: shards were cancelled.
        RecLensError: nothing could be made at all, for this reason.
    """
    if (found := runner.found(spec.artifact_ref())) is not None:
        return found
    shards = _shards(spec, runner)
    missing = missing_shards(shards, runner)
    if not missing:
        return runner.make(task, spec)
    views = runner.runtime.joblog.shards(str(task.request.id))
    if any(view.state is JobState.CANCELLED for view in views):
        raise JobCancelled("cancelled while latents were labelled.")
    failed = {view.first: view.failure for view in views if view.failure is not None}
    # One that has not failed is still under way, or was made and is gone.
    unexplained = {shard.first for shard in missing} - set(failed)
    if not unexplained or task.request.replaced_task_nesting > _MAX_ROUNDS:
        raise failure_of(len(shards), missing, failed)
    ids = {view.first: view.job_id for view in views}
    return _send(spec, task, runner, shards, send=unexplained, ids=ids)


def missing_shards(shards: list[ConceptShardSpec], runner: JobRunner) -> list[ConceptShardSpec]:
    """Those that were not made, or are gone again."""
    store = runner.runtime.store
    return [shard for shard in shards if not store.exists(shard.artifact_ref())]


def _shards(spec: ConceptsSpec, runner: JobRunner) -> list[ConceptShardSpec]:
    return ConceptShardSpec.of(spec, len(scale_of(runner.runtime.store, spec.autoencoder)))


def _send(
    spec: ConceptsSpec,
    task: Task,
    runner: JobRunner,
    shards: list[ConceptShardSpec],
    *,
    send: Set[int],
    ids: dict[int, str | None],
) -> JobResult:
    """Replace the task by the shards to ``send`` (by first latent) and the join.

    Args:
        spec: of the labelling.
        task: that is being run.
        runner: that runs it.
        shards: all of them.
        send: those to make.
        ids: job ids of those that were sent before.
    """
    ids = ids | {first: str(uuid.uuid4()) for first in sorted(send)}
    runner.runtime.joblog.planned_shards(
        str(task.request.id), [(ids.get(shard.first), shard) for shard in shards]
    )

    def signature(name: str, made: JobSpec) -> Signature:
        sent = task.app.signature(name, kwargs={"spec": made.canonical()}, immutable=True)
        return planned(sent, made.artifact_ref())

    body = signature(CONCEPTS_JOIN.task, spec)
    header = [
        signature(shard.JOB.task, shard).set(task_id=ids[shard.first])
        for shard in shards
        if shard.first in send
    ]
    return task.replace(chord(header, body) if header else body)  # type: ignore[return-value]


def failure_of(
    n_shards: int, missing: Sequence[ConceptShardSpec], failed: Mapping[int, FailureReport]
) -> RecLensError:
    """The error to end with.

    `Partial`, naming every range that is missing, for what reason. Where nothing at all was made,
    and all for one reason that trying again does not change, it is that reason: the job's inputs
    are at fault, and to submit it again would be in vain.

    Args:
        n_shards: of the labelling.
        missing: those that do not exist, in order.
        failed: by first latent, why; one that is not named was made and is gone.
    """
    reports = [failed.get(shard.first, _LOST) for shard in missing]
    first = reports[0]
    causes = {_cause(report): report for report in reversed(reports)}
    if len(missing) == n_shards and not first.retryable and len(causes) == 1:
        return _rebuilt(first)
    ranges: dict[str, list[range]] = {}
    for shard, report in zip(missing, reports, strict=True):
        same = ranges.setdefault(_cause(report), [])
        if same and same[-1].stop == shard.first:
            same[-1] = range(same[-1].start, shard.stop)
        else:
            same.append(shard.latents)
    listed = "; ".join(
        f"latents {', '.join(f'{one.start}-{one.stop - 1}' for one in same)}: "
        f"{_why(causes[cause]).rstrip('.')}"
        for cause, same in ranges.items()
    )
    mend = f"{first.remedy.rstrip('.')}; then " if len(causes) == 1 and first.remedy else ""
    return Partial(
        f"{len(missing)} of {n_shards} shards were not made. {listed}.",
        remedy=f"{mend}submit the same job again: it makes only those.",
    )


_LOST = FailureReport(
    reason="GONE", type="Gone", message="it was made and is gone again", retryable=True
)


def _cause(report: FailureReport) -> str:
    """What reports of one cause share: their messages may name latents or count them."""
    return f"{report.type} {report.field} {report.remedy}" if report.remedy else _why(report)


def _why(report: FailureReport) -> str:
    return f"{report.type}: {report.message}"


def _rebuilt(report: FailureReport) -> RecLensError:
    kind = getattr(errors, report.type, None)
    if not (isinstance(kind, type) and issubclass(kind, RecLensError)):
        kind = errors.InternalError
        return kind(_why(report), field=report.field, remedy=report.remedy)
    return kind(report.message, field=report.field, remedy=report.remedy)
