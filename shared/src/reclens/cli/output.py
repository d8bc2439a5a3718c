"""What commands print: readable text, or JSON and nothing else on standard output.

Titles, names of files and labels are other people's text. The one place that writes to a terminal
leaves nothing in it that a terminal obeys.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Annotated, Any, Final

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Machine-readable: JSON on standard output, nothing else.")
]
"""The option that every command has."""


# What moves the cursor, changes colours, sets a window's title or answers as if it was typed (C0
# but tab and line feed, DEL, C1), and what makes text read in another order than it is written.
_OBEYED: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SHOWN_FOR_IT: Final = "\ufffd"


def clean(text: str) -> str:
    """``text`` with a replacement character for each that a terminal obeys; lines stay lines."""
    return _OBEYED.sub(_SHOWN_FOR_IT, text)


def clean_cell(value: object) -> str:
    """``value`` as one line for a terminal."""
    return " ".join(clean(str(value)).split("\n"))


def print_line(line: object) -> None:
    """Write a line of the result, or several."""
    print(clean(str(line)))


def print_json(value: Any) -> None:
    """Write one JSON document, indented for a person at a terminal, on one line for a program. What
    a terminal obeys is escaped."""
    indent = 2 if sys.stdout.isatty() else None
    document = json.dumps(value, indent=indent, ensure_ascii=False)
    print(_OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", document), flush=True)


def say(line: str = "") -> None:
    """Tell the person something that is not the result: on standard error."""
    print(clean(line), file=sys.stderr, flush=True)


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
        table.add_column(clean_cell(column), justify=aligned, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean_cell(cell)) for cell in row))
    # A pipe has no width: nothing is cut off there.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table)
