"""``submit``: send a job that a YAML file describes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reclens.cli.connection import client_settings
from reclens.cli.jobs.jobs import finish
from reclens.cli.jobs.watching import watch as show
from reclens.cli.output import Json, print_json, print_line, say
from reclens.contracts import job_kinds
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.spec_file import anew, read_spec_file
from reclens.platform.jobs.trainable import refuse_untrainable
from reclens.platform.store.artifacts import ArtifactStore

app = typer.Typer()


@app.command()
def submit(
    spec: Annotated[Path, typer.Argument(help="YAML file with `task:` and `spec:`.")],
    force: Annotated[
        bool, typer.Option("--force", help="Make the artifact anew although it exists.")
    ] = False,
    stage: Annotated[
        list[str] | None,
        typer.Option(help="What --force makes anew of a pipeline; may be given several times."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show its progress.")] = False,
    json: Json = False,
) -> None:
    """Submit a job. Its specification is checked first, its local files get their checksums; a
    training on a data set of which no user can be evaluated is refused.

    An artifact is made once: with --force it gets another number, `remake`, and so another id, as
    has all that is made from it. Write that number into the file to go on with it.

    Raises:
        InvalidSpec: the file is not a specification.
        InvalidInput: it names a file that is not below the folders that are set for data, or a
            data set that nothing can be trained on.
        Unavailable: Redis does not answer.
    """
    settings = client_settings()
    request = read_spec_file(spec, settings.data)
    store = ArtifactStore.from_settings(settings)
    if force or stage:
        request, counted = anew(request, stage or (), store.exists)
        for field, number in counted.items():
            say(f"{field}: {number}")
    refuse_untrainable(job_kinds()[request.task].spec.parse(request.spec), store)
    log = JobLog(settings.redis)
    job_id = log.submit(request.task, request.spec)
    if watch:
        finish(show(log.watch(job_id)), json=json)
    elif json:
        print_json({"job_id": job_id})
    else:
        print_line(job_id)
