"""Jobs on their way, with a system that does what the test says."""

from __future__ import annotations

from typing import Any

import pytest

from reclens.contracts import JobResult
from reclens.platform.jobs.view import JobError, JobState, JobView
from reclens.studies.reproduce.experiment import execution
from reclens.studies.reproduce.experiment.execution import ReproductionFailed, run_jobs
from reclens.studies.reproduce.experiment.plan import PlannedJob, make_plan


class System:
    """Log and store in one: a submitted job ends at the second look at it."""

    def __init__(self, existing: set[str] = frozenset(), broken: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.made = set(existing)
        self.broken = broken
        self.submitted: list[str] = []
        self.cancelled: list[str] = []
        self.names: dict[str, PlannedJob] = {}
        self.looks: dict[str, int] = {}

    def exists(self, ref: str) -> bool:
        return ref in self.made

    def submit(self, task: Any, spec: dict[str, Any]) -> str:
        (ref,) = [ref for ref, job in self.names.items() if job.spec.canonical() == spec]
        for needed in self.names[ref].spec.input_refs().values():
            assert needed in self.made, "submitted before its input was made"
        self.submitted.append(ref)
        return ref

    def show(self, job_id: str) -> JobView:
        self.looks[job_id] = self.looks.get(job_id, 0) + 1
        view = JobView(id=job_id, task="", state=JobState.RUNNING, spec={})
        if self.looks[job_id] < 2:
            return view
        if self.names[job_id].name in self.broken:
            error = JobError(type="Boom", message="it broke.")
            return view.model_copy(update={"state": JobState.FAILED, "error": error})
        self.made.add(job_id)
        result = JobResult(artifact=job_id, seconds=2.0)
        return view.model_copy(update={"state": JobState.SUCCEEDED, "result": result})

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution.time, "sleep", lambda _seconds: None)


@pytest.fixture(scope="module")
def jobs() -> list[PlannedJob]:
    return make_plan("ml-100k", "sasrec").jobs()


def run(system: System, jobs: list[PlannedJob], said: list[str] | None = None) -> dict[str, str]:
    system.names = {job.ref: job for job in jobs}
    lines = [] if said is None else said
    return run_jobs(jobs, system, system, say=lines.append, describe=str)  # type: ignore[arg-type]


def test_everything_is_made_once(jobs: list[PlannedJob]) -> None:
    system = System()
    assert run(system, jobs) == {}
    assert sorted(system.submitted) == sorted(job.ref for job in jobs)


def test_what_exists_is_not_made_again(jobs: list[PlannedJob]) -> None:
    system = System(existing={job.ref for job in jobs[:-1]})
    said: list[str] = []
    assert run(system, jobs, said) == {}
    assert system.submitted == [jobs[-1].ref]
    assert sum("found" in line for line in said) == len(jobs) - 1


def test_an_optional_failure_takes_only_what_reads_it_along(jobs: list[PlannedJob]) -> None:
    failures = run(System(broken={"autoencoder of PCA"}), jobs)
    names = {job.ref: job.name for job in jobs}
    assert {names[ref] for ref in failures} == {
        "autoencoder of PCA",
        "concepts of PCA",
        "evaluation of PCA",
    }
    assert any("Boom: it broke." in why for why in failures.values())


def test_a_required_failure_ends_it_with_its_reason(jobs: list[PlannedJob]) -> None:
    system = System(broken={"activations"})
    with pytest.raises(ReproductionFailed, match=r"activations: Boom: it broke\."):
        run(system, jobs)
    assert len(system.submitted) == 3, "nothing that reads it was sent"


def test_an_interruption_cancels_what_runs(
    jobs: list[PlannedJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    system = System(existing={job.ref for job in jobs[:3]})

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(execution.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(system, jobs)
    assert system.submitted
    assert sorted(system.cancelled) == sorted(system.submitted)
