"""Runs planned jobs by the Celery pipeline; what exists is found, what was cut is resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter

from reclens.contracts import Progress
from reclens.errors import RecLensError
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobState, JobView
from reclens.platform.store.artifacts import ArtifactStore
from reclens.studies.reproduce.experiment.plan import PlannedJob

Say = Callable[[str], None]

_POLL_SECONDS = 0.5
_LINE_SECONDS = 15.0


class ReproductionFailed(RecLensError):
    """A job without which there is no report did not succeed."""

    reason = "REPRODUCTION_FAILED"


def run_jobs(
    jobs: Sequence[PlannedJob],
    log: JobLog,
    store: ArtifactStore,
    *,
    say: Say,
    describe: Callable[[Progress], str],
) -> dict[str, str]:
    """Run all jobs of a plan until nothing is left to run.

    A job is submitted as soon as its inputs are there, so the workers of different stages work
    side by side.

    Args:
        jobs: with those that make their inputs.
        log: of the system to run on.
        store: of the same system.
        say: called with a line for everything that happens.
        describe: progress in words.

    Returns:
        What went wrong with jobs that the report can do without, by artifact.

    Raises:
        ReproductionFailed: a required job failed or was cancelled.
        Unavailable: Redis or the store does not answer.
    """
    planned = {job.ref: job for job in jobs}
    waiting = TopologicalSorter({job.ref: job.spec.input_refs().values() for job in jobs})
    waiting.prepare()
    failures: dict[str, str] = {}
    submitted: dict[str, str] = {}
    spoke: dict[str, float] = {}

    def start(ref: str) -> None:
        spec, name = planned[ref].spec, planned[ref].name
        broken = [one for one in spec.input_refs().values() if one in failures]
        if broken:
            failures[ref] = f"its input {broken[0]} was not made"
        elif store.exists(ref):
            say(f"✓ {name}: found")
        else:
            submitted[ref] = log.submit(spec.JOB.task, spec.canonical())
            return
        waiting.done(ref)

    def look(ref: str) -> None:
        view, name = log.show(submitted[ref]), planned[ref].name
        if view.state.final:
            del submitted[ref]
            waiting.done(ref)
            if view.state is JobState.SUCCEEDED:
                say(f"✓ {name}: {view.result.seconds if view.result else 0.0:.1f} s")
            else:
                failures[ref] = _failure(view)
                say(f"✗ {name}: {failures[ref]}")
        elif view.progress and time.monotonic() - spoke.get(ref, 0) >= _LINE_SECONDS:
            spoke[ref] = time.monotonic()
            say(f"▶ {name}: {describe(view.progress)}")

    try:
        while waiting.is_active():
            while ready := waiting.get_ready():
                for ref in ready:
                    start(ref)
            for ref in list(submitted):
                look(ref)
            time.sleep(_POLL_SECONDS if submitted else 0)
    except BaseException:
        # Nobody waits for them any more; their checkpoints stay for the next run.
        for job_id in submitted.values():
            log.cancel(job_id)
        raise
    for ref, why in failures.items():
        if planned[ref].required:
            raise ReproductionFailed(
                f"{planned[ref].name}: {why}",
                remedy="see the logs of the workers, then run it again: what is done is kept.",
            )
    return failures


def _failure(view: JobView) -> str:
    return "cancelled" if view.error is None else f"{view.error.type}: {view.error.message}"
