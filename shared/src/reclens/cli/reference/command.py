"""``reference``: writes the pages of docs/ that are made from the code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reclens.cli.output import Json, print_json
from reclens.cli.reference.command_line import cli_reference
from reclens.cli.reference.jobs import jobs_reference
from reclens.cli.reference.settings import settings_reference
from reclens.cli.reference.tables import tables_reference

app = typer.Typer()


@app.command(hidden=True)
def reference(
    folder: Annotated[Path, typer.Option(help="Where to write.")] = Path("docs/reference"),
    json: Json = False,
) -> None:
    """Write jobs.md, cli.md, settings.md and tables.md from the code."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {
        "jobs.md": jobs_reference(),
        "cli.md": cli_reference(),
        "settings.md": settings_reference(),
        "tables.md": tables_reference(),
    }
    for name, text in pages.items():
        (folder / name).write_text(text)
    if json:
        print_json({"written": [str(folder / name) for name in pages]})
