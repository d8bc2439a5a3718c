"""What the reference pages share: tables and docstrings as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; vertical bars within cells are escaped."""
    lines = [_line(header), f"|{'---|' * len(header)}"]
    lines += [_line([cell.replace("|", r"\|") for cell in row]) for row in rows]
    return "\n".join(lines) + "\n"


def prose(docstring: str | None) -> str:
    """A docstring as one paragraph."""
    return " ".join((docstring or "").replace("``", "`").split())


def listed(words: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    return f" {last} ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
