"""A table of a report: raw values for machines, formatted cells for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NOT_MEASURED = "n/a"
"""Shown for None."""


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str
    """Heading, with the unit where there is one."""
    shown: str = ""
    """Format specification of its numbers, e.g. ``.3f``; empty: as text."""

    def cell(self, value: Any) -> str:
        """One value for people."""
        if value is None:
            return NOT_MEASURED
        return format(value, self.shown) if self.shown else str(value)


@dataclass(frozen=True)
class Table:
    """One table."""

    key: str
    """``T1`` and so on."""
    title: str
    """What it shows."""
    columns: tuple[Column, ...]
    """Columns."""
    rows: list[list[Any]]
    """JSON values; None where something was not measured."""
    note: str = ""
    """How to read it."""

    def cells(self) -> list[list[str]]:
        """All rows for people."""
        return [
            [column.cell(value) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def as_json(self) -> dict[str, Any]:
        """Title, note, names of columns, raw rows."""
        return {
            "title": self.title,
            "note": self.note,
            "columns": [column.name for column in self.columns],
            "rows": self.rows,
        }
