"""``reproduce``: every table and figure of a data set and its models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reclens.cli.connection import client_settings
from reclens.cli.jobs.watching import describe
from reclens.cli.operations.local import needed_locally
from reclens.cli.output import Json, print_json, print_line, say

app = typer.Typer()


@app.command()
def reproduce(
    dataset: Annotated[
        str, typer.Option(help="A data set that RecLens obtains itself.")
    ] = "ml-100k",
    model: Annotated[
        list[str] | None,
        typer.Option(help="Kind of recommender; repeatable.", show_default="sasrec"),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of all reports.")] = Path("out/reproduce"),
    *,
    main_only: Annotated[
        bool,
        typer.Option(
            "--main-only",
            help="The main dictionary and its controls; no grids, other architectures, or F8.",
        ),
    ] = False,
    remote: Annotated[
        bool,
        typer.Option("--remote", help="Run on the system that the environment names, start none."),
    ] = False,
    json: Json = False,
) -> None:
    """Make every table and figure: report.md, report.html, report.json and plots per model.

    Jobs that were made before are found, a run that was cut goes on where it was.

    Raises:
        InvalidInput: there is no such data set or model.
        ReproductionFailed: a job without which there is no report did not succeed.
    """
    with needed_locally():
        from reclens.studies.reproduce.run import reproduce as reproduce_all  # noqa: PLC0415 - not everywhere
    reports = reproduce_all(
        dataset,
        model or ["sasrec"],
        output=output,
        settings=client_settings() if remote else None,
        say=say,
        describe=describe,
        main_only=main_only,
    )
    if json:
        print_json(reports)
    else:
        for name in reports:
            print_line(output / dataset / name / "report.md")
