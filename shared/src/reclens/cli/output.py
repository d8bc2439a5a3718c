"""What commands print: readable text, or JSON and nothing else on standard output."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Machine-readable: JSON on standard output, nothing else.")
]
"""The option that every command has."""


def print_json(value: Any) -> None:
    """Write one JSON document, indented for a person at a terminal, on one line for a program."""
    indent = 2 if sys.stdout.isatty() else None
    print(json.dumps(value, indent=indent, ensure_ascii=False), flush=True)


def say(line: str = "") -> None:
    """Tell the person something that is not the result: on standard error."""
    print(line, file=sys.stderr, flush=True)


def print_table(columns: list[str], rows: list[list[Any]], *, right: tuple[str, ...] = ()) -> None:
    """Print rows under their column names.

    Args:
        columns: headings.
        rows: cells, converted with ``str``.
        right: headings of columns to align right.
    """
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        aligned = "right" if column in right else "left"
        table.add_column(column, justify=aligned, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    # A pipe has no width: nothing is cut off there.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table)
