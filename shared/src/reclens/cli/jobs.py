"""``jobs``: list, show, watch and cancel jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from reclens.adapters.joblog import JobLog, JobState, JobView
from reclens.cli.connection import client_settings
from reclens.cli.output import Json, print_json, print_table, say
from reclens.cli.watching import describe, rows_of
from reclens.cli.watching import watch as show_progress

app = typer.Typer(name="jobs", no_args_is_help=True, help="Submitted jobs.")

JobId = Annotated[str, typer.Argument(help="Id, as `submit` and `jobs list` tell it.")]


@app.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
    json: Json = False,
) -> None:
    """List the newest jobs."""
    views = JobLog(client_settings().redis).list(limit)
    if json:
        print_json([view.canonical() for view in views])
        return
    rows = [[view.id, view.task, view.state, view.submitted_at or ""] for view in views]
    print_table(["job", "task", "state", "submitted"], rows)


@app.command()
def show(job_id: JobId, json: Json = False) -> None:
    """Show one job with its stages, its result or its error."""
    view = JobLog(client_settings().redis).show(job_id)
    if json:
        print_json(view.canonical())
    else:
        _print(view)


@app.command()
def watch(job_id: JobId, json: Json = False) -> None:
    """Follow a job until it ends. With --json: one line whenever it has changed."""
    views = JobLog(client_settings().redis).watch(job_id)
    if not json:
        finish(show_progress(views), json=False)
        return
    last: JobView | None = None
    for last in views:
        print_json(last.canonical())
    if last is not None:
        _exit_by(last)


@app.command()
def cancel(job_id: JobId, json: Json = False) -> None:
    """Ask a job to stop: it leaves the queue, or saves a checkpoint and stops."""
    log = JobLog(client_settings().redis)
    log.cancel(job_id)
    view = log.show(job_id)
    if json:
        print_json(view.canonical())
    elif view.state.final:
        say(f"{job_id} had already ended: {view.state.value}")
    else:
        say(f"{job_id} was asked to stop")


def finish(view: JobView, *, json: bool) -> None:
    """Print a job that has ended and exit by how it ended."""
    if json:
        print_json(view.canonical())
    else:
        _print(view)
    _exit_by(view)


def _exit_by(view: JobView) -> None:
    if view.state is JobState.CANCELLED:
        raise typer.Exit(6)
    if view.state is JobState.FAILED:
        raise typer.Exit(1)


def _print(view: JobView) -> None:
    print(f"{view.id}  {view.task}  {view.state.value}")
    for label, moment in (
        ("submitted", view.submitted_at),
        ("started", view.started_at),
        ("finished", view.finished_at),
    ):
        if moment:
            print(f"  {label:<10} {moment}")
    stages = {stage.name: stage for stage in view.stages}
    for name, state, reused, progress in rows_of(view) if stages else []:
        more = describe(progress) if progress else ("found" if reused else "")
        print(f"  {name:<12} {state.value:<10} {stages[name].artifact:<34} {more}".rstrip())
    if view.result is not None and not stages:
        print(f"  made {view.result.artifact} in {view.result.seconds:.1f} s")
    said: set[str] = set()
    # A failed stage fails its pipeline and all stages after it with the same error: once is enough.
    for name, error in [*((s.name, s.error) for s in view.stages), (view.task, view.error)]:
        if error is not None and error.message not in said:
            said.add(error.message)
            print(f"  {name} failed: {error.type}: {error.message}")
