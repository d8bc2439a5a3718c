"""From a data set and models to reports: stack, jobs, tables, plots."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from reclens.contracts import Progress
from reclens.ops.local.processes import terminated_as_interrupted
from reclens.platform.jobs.log import JobLog
from reclens.platform.settings.models import ClientSettings
from reclens.platform.store.artifacts import ArtifactStore
from reclens.studies.reproduce.experiment.execution import Say, run_jobs
from reclens.studies.reproduce.experiment.plan import make_plan
from reclens.studies.reproduce.experiment.results import read_results
from reclens.studies.reproduce.report.writing import write_report
from reclens.studies.system import local_system


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
    named = local_system(say) if settings is None else nullcontext(settings)
    with terminated_as_interrupted(), named as system:
        store, log = ArtifactStore.from_settings(system), JobLog(system.redis)
        reports = {}
        for plan in plans:
            begun = time.monotonic()
            jobs = plan.jobs()
            say(f"{plan.dataset_name}, {plan.model_name}: {len(jobs)} jobs")
            failures = run_jobs(jobs, log, store, say=say, describe=describe)
            results = read_results(plan, store, failures)
            folder = output / plan.dataset_name / plan.model_name
            seconds = time.monotonic() - begun
            reports[plan.model_name] = write_report(results, folder, seconds=seconds)
            say(f"report.md, report.html, report.json and plots in {folder}")
    return reports
