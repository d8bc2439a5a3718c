"""Shows a job while it runs: a live table at a terminal, a line per change elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from reclens.cli.output import clean_cell, say
from reclens.contracts import Contract, Progress, Waiting
from reclens.errors import RecLensError
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.view import JobState, JobView, StageView, seconds_until
from reclens.platform.settings.models import RedisSettings

if TYPE_CHECKING:
    from rich.table import Table

_MARKS = {
    JobState.QUEUED: "·",
    JobState.RUNNING: "▶",
    JobState.RETRYING: "↻",
    JobState.SUCCEEDED: "✓",
    JobState.FAILED: "✗",
    JobState.CANCELLED: "■",
    JobState.PARTIAL: "◐",
    JobState.SKIPPED: "-",
}
_SHOWN_METRICS = ("loss", "fvu", "l0", "dead_fraction", "hr@10", "ndcg@10")
_LINE_SECONDS = 5.0


def watch(views: Iterable[JobView], *, live: bool | None = None) -> JobView:
    """Show each view on standard error and return the last one.

    Args:
        views: at least one, as from ``JobLog.watch``.
        live: redraw one table. None: where standard error is a terminal.
    """
    at_terminal = sys.stderr.isatty() if live is None else live
    shown = _in_a_table(views) if at_terminal else _in_lines(views)
    return deque(shown, maxlen=1).pop()


def carry_out(redis: RedisSettings, task: str, spec: Contract, failure: str, remedy: str) -> None:
    """Submit a job and show it while it runs.

    Raises:
        RecLensError: it did not succeed: ``failure``, why, and the remedy with its ``{job}``.
    """
    log = JobLog(redis)
    job_id = log.submit(task, spec.canonical())
    done = watch(log.watch(job_id))
    if done.state is not JobState.SUCCEEDED:
        why = done.error.message if done.error is not None else done.state.value
        raise RecLensError(f"{failure}: {why}", remedy=remedy.format(job=job_id))


class Row(NamedTuple):
    """A stage, or a job without stages."""

    name: str
    """What it is called."""
    state: JobState
    """Where it is."""
    reused: bool
    """Whether it was found instead of made."""
    progress: Progress | None
    """While it runs."""
    waiting: Waiting | None
    """While it waits for a part that is away."""


def rows_of(view: JobView) -> list[Row]:
    """A row of each stage, or of the job."""
    parts: list[tuple[str, JobView | StageView]] = [(stage.name, stage) for stage in view.stages]
    rows: list[Row] = []
    waits = False
    for name, part in parts or [(view.task, view)]:
        # The last stage runs under the pipeline's own id, which is busy from the start.
        state = JobState.QUEUED if waits and not part.state.final else part.state
        reused = part.result is not None and part.result.reused
        rows.append(Row(name, state, reused, part.progress, part.waiting))
        waits = waits or not part.state.final
    return rows


def describe(progress: Progress) -> str:
    """One line: what is done, how far, how fast, the current figures, the time left."""
    total = "" if progress.total is None else f"/{progress.total:,}"
    parts = [f"{progress.stage} {progress.step:,}{total} {progress.unit}"]
    if progress.rate is not None:
        parts.append(
            f"{progress.rate:,.3g}/s" if progress.rate < 100 else f"{progress.rate:,.0f}/s"
        )
    parts += [
        f"{name} {progress.metrics[name]:.4g}"
        for name in _SHOWN_METRICS
        if name in progress.metrics
    ]
    if progress.eta_seconds is not None:
        parts.append(f"{_duration(progress.eta_seconds)} left")
    return ", ".join(parts)


def describe_waiting(waiting: Waiting) -> str:
    """One line: what for, and how long until the next try."""
    seconds = math.ceil(seconds_until(waiting.next_try_at, datetime.now(UTC)))
    when = f"next try in {_duration(seconds)}" if seconds else "trying again"
    return f"waiting for {waiting.message.rstrip('.')}; {when}"


def _in_lines(views: Iterable[JobView]) -> Iterator[JobView]:
    said: dict[str, str] = {}
    spoke: dict[str, float] = {}
    for view in views:
        for name, state, reused, progress, waiting in rows_of(view):
            word = "found" if reused else state.value.lower()
            if said.get(name) != word:
                # A stage that waits is no news.
                if state is not JobState.QUEUED:
                    say(f"{_MARKS[state]} {name}: {word}")
                if waiting:
                    say(f"  {name}: {describe_waiting(waiting)}")
                said[name] = word
                spoke[name] = time.monotonic()
            elif (progress or waiting) and time.monotonic() - spoke[name] >= _LINE_SECONDS:
                if progress:
                    say(f"  {name}: {describe(progress)}")
                if waiting:
                    say(f"  {name}: {describe_waiting(waiting)}")
                spoke[name] = time.monotonic()
        yield view


def _in_a_table(views: Iterable[JobView]) -> Iterator[JobView]:
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    with Live(console=Console(stderr=True), refresh_per_second=8) as display:
        for view in views:
            display.update(_table(view))
            yield view


def _table(view: JobView) -> Table:
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.spinner import Spinner  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table.grid(padding=(0, 1))
    for name, state, reused, progress, waiting in rows_of(view):
        running = state is JobState.RUNNING
        mark = Spinner("dots") if running else _MARKS[state]
        if progress is None:
            bar = None
            text = "found, nothing to compute" if reused else state.value.lower()
        else:
            total = progress.total or None
            bar = ProgressBar(total=total, completed=progress.step, width=24, pulse=total is None)
            text = describe(progress)
        if waiting is not None:
            text = f"{text}, {describe_waiting(waiting)}"
        # Plain texts: strings would be read for rich's markup.
        table.add_row(mark, Text(clean_cell(name)), bar or "", Text(clean_cell(text)))
    return table


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
