"""From a data set and models to reports: stack, jobs, tables, plots."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reclens.contracts import Progress
from reclens.ops.local.processes import terminated_as_interrupted, undisturbed
from reclens.ops.local.stack import LocalStack
from reclens.ops.local.state import StateFolder
from reclens.platform.jobs.log import JobLog
from reclens.platform.settings.models import ClientSettings
from reclens.platform.store.artifacts import ArtifactStore
from reclens.studies.reproduce.experiment.execution import JobRun
from reclens.studies.reproduce.experiment.plan import Plan, make_plan
from reclens.studies.reproduce.experiment.results import collect
from reclens.studies.reproduce.report.writing import write_report

Say = Callable[[str], None]


def reproduce(
    dataset: str,
    models: Sequence[str],
    *,
    output: Path,
    settings: ClientSettings | None,
    say: Say,
    describe: Callable[[Progress], str],
    main_only: bool = False,
) -> dict[str, dict[str, Any]]:
    """Make everything and write ``<output>/<dataset>/<model>/`` for each model.

    Args:
        dataset: a data set that RecLens obtains itself.
        models: kinds of recommender.
        output: folder of all reports.
        settings: system to run on. None: the local stack, which is started where it does not run
            and then stopped whatever happens.
        say: called with a line for everything that happens.
        describe: progress in words.
        main_only: as for `make_plan`.

    Returns:
        By model the content of ``report.json``.

    Raises:
        InvalidInput: there is no such data set or model.
        ReproductionFailed: a job without which there is no report did not succeed.
        Unavailable: a part of the system does not answer.
    """
    # All plans first: a misspelt name must not be found after an hour.
    plans = [make_plan(dataset, model, main_only=main_only) for model in models]
    with terminated_as_interrupted(), _system(settings, say) as system:
        return {
            plan.model_name: _one(plan, system, output, say=say, describe=describe)
            for plan in plans
        }


def _one(
    plan: Plan,
    settings: ClientSettings,
    output: Path,
    *,
    say: Say,
    describe: Callable[[Progress], str],
) -> dict[str, Any]:
    begun = time.monotonic()
    store = ArtifactStore.from_settings(settings)
    jobs = plan.jobs()
    say(f"{plan.dataset_name}, {plan.model_name}: {len(jobs)} jobs")
    run = JobRun(jobs, JobLog(settings.redis), store, say=say, describe=describe)
    failures = run.finish()
    collected = collect(plan, store, failures)
    folder = output / plan.dataset_name / plan.model_name
    report = write_report(collected, folder, seconds=time.monotonic() - begun)
    say(f"report.md, report.html, report.json and plots in {folder}")
    return report


@contextmanager
def _system(settings: ClientSettings | None, say: Say) -> Iterator[ClientSettings]:
    if settings is not None:
        yield settings
        return
    stack = LocalStack(StateFolder.default())
    started_here = not stack.running()
    try:
        stack.up(say)
        yield stack.state.settings()
    finally:
        if started_here:
            with undisturbed():
                stack.down(say)
