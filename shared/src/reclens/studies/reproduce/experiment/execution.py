"""Runs planned jobs by the Celery pipeline; what exists is found, what was cut is resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

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


class JobRun:
    """All jobs of a plan on their way.

    A job is submitted as soon as its inputs are there, so the workers of different stages work
    side by side.

    Args:
        jobs: inputs before what reads them.
        log: of the system to run on.
        store: of the same system.
        say: called with a line for everything that happens.
        describe: progress in words.
    """

    def __init__(
        self,
        jobs: Sequence[PlannedJob],
        log: JobLog,
        store: ArtifactStore,
        *,
        say: Say,
        describe: Callable[[Progress], str],
    ) -> None:
        self.failures: dict[str, str] = {}
        """What went wrong, by artifact."""
        self._jobs = {job.ref: job for job in jobs}
        self._log, self._store = log, store
        self._say, self._describe = say, describe
        self._done: set[str] = set()
        self._submitted: dict[str, str] = {}
        self._spoke: dict[str, float] = {}

    def finish(self) -> dict[str, str]:
        """Run until nothing is left to run.

        Returns:
            Failures of jobs that the report can do without, by artifact.

        Raises:
            ReproductionFailed: a required job failed or was cancelled.
            Unavailable: Redis or the store does not answer.
        """
        try:
            while self._left():
                self._submit_ready()
                self._look()
                time.sleep(_POLL_SECONDS if self._submitted else 0)
        except BaseException:
            # Nobody waits for them any more; their checkpoints stay for the next run.
            for job_id in self._submitted.values():
                self._log.cancel(job_id)
            raise
        failed = [self._jobs[ref] for ref in self.failures if self._jobs[ref].required]
        if failed:
            raise ReproductionFailed(
                f"{failed[0].name}: {self.failures[failed[0].ref]}",
                remedy="see the logs of the workers, then run it again: what is done is kept.",
            )
        return self.failures

    def _left(self) -> bool:
        return len(self._done) + len(self.failures) < len(self._jobs)

    def _submit_ready(self) -> None:
        for ref, job in self._jobs.items():
            if ref in self._done or ref in self.failures or ref in self._submitted:
                continue
            inputs = job.spec.input_refs().values()
            broken = [one for one in inputs if one in self.failures]
            if broken:
                self.failures[ref] = f"its input {broken[0]} was not made"
            elif all(one in self._done for one in inputs):
                if self._store.exists(ref):
                    self._done.add(ref)
                    self._say(f"✓ {job.name}: found")
                else:
                    self._submitted[ref] = self._log.submit(job.spec.JOB.task, job.spec.canonical())

    def _look(self) -> None:
        for ref, job_id in list(self._submitted.items()):
            view, name = self._log.show(job_id), self._jobs[ref].name
            if view.state.final:
                del self._submitted[ref]
                self._end(ref, name, view)
            elif view.progress and time.monotonic() - self._spoke.get(ref, 0) >= _LINE_SECONDS:
                self._spoke[ref] = time.monotonic()
                self._say(f"▶ {name}: {self._describe(view.progress)}")

    def _end(self, ref: str, name: str, view: JobView) -> None:
        if view.state is JobState.SUCCEEDED:
            self._done.add(ref)
            seconds = view.result.seconds if view.result else 0.0
            self._say(f"✓ {name}: {seconds:.1f} s")
            return
        error = view.error
        said = "cancelled" if error is None else f"{error.type}: {error.message}"
        self.failures[ref] = said
        self._say(f"✗ {name}: {said}")
