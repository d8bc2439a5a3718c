"""``jobs``: list, show, watch and cancel jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from reclens.cli.connection import client_settings
from reclens.cli.jobs.account import account_of_result, print_account
from reclens.cli.jobs.watching import describe, describe_waiting, rows_of
from reclens.cli.jobs.watching import watch as show_progress
from reclens.cli.output import Json, print_json, print_line, print_table, say
from reclens.errors import Partial
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobState, JobView, ShardView

_EXIT_CODES = {JobState.FAILED: 1, JobState.CANCELLED: 6, JobState.PARTIAL: 7}

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
    rows = [[view.id, view.task, view.state, view.submitted_at or "", _at(view)] for view in views]
    print_table(["job", "task", "state", "submitted", "at"], rows)


@app.command()
def show(job_id: JobId, json: Json = False) -> None:
    """Show one job with its stages, its shards, its result or its error."""
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
    if view.state in _EXIT_CODES:
        raise typer.Exit(_EXIT_CODES[view.state])


def _print(view: JobView) -> None:
    print_line(f"{view.id}  {view.task}  {view.state.value}")
    for label, moment in (
        ("submitted", view.submitted_at),
        ("started", view.started_at),
        ("finished", view.finished_at),
    ):
        if moment:
            print_line(f"  {label:<10} {moment}")
    stages = {stage.name: stage for stage in view.stages}
    for name, state, reused, progress, waiting in rows_of(view):
        if stages:
            more = describe(progress) if progress else ("found" if reused else "")
            print_line(
                f"  {name:<12} {state.value:<10} {stages[name].artifact:<34} {more}".rstrip()
            )
        elif progress:
            print_line(f"  {describe(progress)}")
        if waiting:
            print_line(f"  {describe_waiting(waiting)}")
    for part in (view, *view.stages):
        _print_shards(part.shards)
    if view.result is not None and not stages:
        print_line(f"  made {view.result.artifact} in {view.result.seconds:.1f} s")
    for part in (view, *view.stages):
        if (account := account_of_result(part.result)) is not None:
            print_account(account)
    said: set[str] = set()
    # A failed stage fails its pipeline and all stages after it with the same error: once is enough.
    for name, error in [*((s.name, s.error) for s in view.stages), (view.task, view.error)]:
        if error is not None and error.message not in said:
            said.add(error.message)
            ended = "ended in part" if error.type == Partial.__name__ else f"failed: {error.type}"
            print_line(f"  {name} {ended}: {error.message}")


def _print_shards(shards: Sequence[ShardView]) -> None:
    """How many there are of each state, and a line for each that needs a look."""
    if not shards:
        return
    counts = Counter(shard.state for shard in shards)
    listed = ", ".join(
        f"{counts[state]} {state.value.lower()}" for state in JobState if counts[state]
    )
    print_line(f"  {len(shards)} shards: {listed}")
    for shard in shards:
        more = ""
        if shard.failure is not None:
            more = f"{shard.failure.type}: {shard.failure.message}"
        elif shard.waiting is not None:
            more = describe_waiting(shard.waiting)
        if more:
            named = f"latents {shard.first}-{shard.stop - 1}"
            print_line(f"    {named:<22} {shard.state.value:<10} {more}")


def _at(view: JobView) -> str:
    """In a few words, for a line of a list."""
    if view.waiting is not None:
        return describe_waiting(view.waiting)
    if view.progress is not None:
        return describe(view.progress)
    shards = [shard for part in (view, *view.stages) for shard in part.shards]
    made = sum(shard.state is JobState.SUCCEEDED for shard in shards)
    return f"{made} of {len(shards)} shards made" if view.state is JobState.PARTIAL else ""
