"""The demo from end to end: stack, one pipeline job, one user, a report and three plots."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from reclens.client import SteeringClient
from reclens.contracts import Release
from reclens.data import read_dataset
from reclens.errors import NotFound, NotReady, RecLensError, Unavailable
from reclens.ops.local.processes import terminated_as_interrupted
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.spec_file import JobRequest, read_spec_file
from reclens.platform.jobs.view import JobState, JobView
from reclens.platform.polling import poll_until
from reclens.platform.settings.models import ClientSettings
from reclens.platform.store.artifacts import ArtifactStore
from reclens.studies.demo.plots import draw_plots
from reclens.studies.demo.report import as_markdown, as_report, as_text, read_figures
from reclens.studies.demo.story import tell
from reclens.studies.system import local_system

PIPELINE = Path(__file__).with_name("pipeline.yaml")
"""The one job that the demo submits."""

_SERVING_SECONDS = 60.0
_POLL_SECONDS = 0.2


class DemoFailed(RecLensError):
    """The pipeline of the demo did not succeed."""

    reason = "DEMO_FAILED"


def run_demo(
    *,
    out: Path,
    keep: bool,
    say: Callable[[str], None],
    watch: Callable[[Iterable[JobView]], JobView],
) -> tuple[dict[str, Any], str]:
    """Run it and write ``report.json``, ``report.md`` and the plots to ``out``.

    A stack that runs already is used and left running; one that was started here is stopped
    whatever happens, unless ``keep`` is set and all went well.

    Args:
        out: folder to write to.
        keep: leave the stack running.
        say: called with a line for everything that happens.
        watch: shows the views of a job, returns the last.

    Returns:
        The content of ``report.json``, and the story for a terminal.

    Raises:
        DemoFailed: the pipeline failed or was cancelled.
        Unavailable: a part of the stack died or does not answer.
    """
    begun = time.monotonic()
    with terminated_as_interrupted(), local_system(say, keep=keep) as settings:
        request = read_spec_file(PIPELINE)
        _make(settings, request, watch)
        return _show(settings, request.spec["release"], out, begun)


def _make(
    settings: ClientSettings, request: JobRequest, watch: Callable[[Iterable[JobView]], JobView]
) -> None:
    log = JobLog(settings.redis)
    job_id = log.submit(request.task, request.spec)
    try:
        view = watch(log.watch(job_id))
    except BaseException:
        # Nobody waits for it any more; its checkpoints stay for the next run.
        log.cancel(job_id)
        raise
    if view.state is not JobState.SUCCEEDED:
        error = next((stage.error for stage in view.stages if stage.error), view.error)
        said = "it was cancelled" if error is None else f"{error.type}: {error.message}"
        raise DemoFailed(
            f"the demo's pipeline did not succeed: {said}",
            remedy="see the logs in the state folder's `logs`, then run it again: it resumes.",
        )


def _show(
    settings: ClientSettings, release_name: str, out: Path, begun: float
) -> tuple[dict[str, Any], str]:
    store = ArtifactStore.from_settings(settings)
    release = store.releases.head(release_name)
    figures = read_figures(store, release)
    dataset = read_dataset(store.fetch_all(figures.stages["dataset"].artifact))
    with SteeringClient(settings.client.target) as client:
        _await_serving(client, release)
        story = tell(client, dataset, release_name)
    out.mkdir(parents=True, exist_ok=True)
    draw_plots(figures, story, out)
    report = as_report(figures, story, time.monotonic() - begun)
    (out / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    (out / "report.md").write_text(as_markdown(report, figures, story))
    return report, as_text(story)


def _await_serving(client: SteeringClient, release: Release) -> None:
    problem = "the gateway has not loaded it"

    def is_served() -> bool:
        nonlocal problem
        try:
            served = client.release(release.name)
        except (NotFound, NotReady, Unavailable) as error:
            problem = error.message
            return False
        problem = served.refusal or problem
        return served.serving and served.versions.release_version == release.version

    if not poll_until(is_served, seconds=_SERVING_SECONDS, every=_POLL_SECONDS):
        raise Unavailable(
            f"release {release.name} is not served after {_SERVING_SECONDS:.0f} s: {problem}",
            remedy="see gateway.log and inference.log in the state folder's `logs`.",
        )
