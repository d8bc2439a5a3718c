"""Lines of JSON objects, or of Python's own notation (as Steam's are), as columns of a table."""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa

from reclens.data.sources.columns import SourceTable
from reclens.data.sources.encodings import read_bytes, to_utf8
from reclens.data.sources.findings import Reading
from reclens.errors import MalformedData

JSON_SUFFIXES: Final = (".jsonl", ".json", ".ndjson")


def is_json(path: Path) -> bool:
    """Whether a file has JSON by its name, packed or not."""
    return path.name.lower().removesuffix(".gz").endswith(JSON_SUFFIXES)


def read_json_lines(
    path: Path, fields: Collection[str], reading: Reading, *, rows_in: str | None = None
) -> SourceTable:
    """Read an object a line, or one list of objects, whose entries are then counted as lines.

    Args:
        path: the file.
        fields: those that become columns: text, or lists of text; others are passed over.
        reading: how the specification says that files are written, and where findings go.
        rows_in: field with a list of objects, each of which is a row, with the fields around it.

    Raises:
        MissingData: the file cannot be opened.
        MalformedData: the file is empty or wrongly encoded, or a line is no object.
    """
    text = to_utf8(read_bytes(path), path.name, reading).decode()
    lines: list[int] = []
    cells: dict[str, list[Any]] = {field: [] for field in fields}
    for number, record in _records(text, path.name):
        for row in _rows(record, rows_in, path.name, number):
            lines.append(number)
            for field, column in cells.items():
                column.append(row.get(field))
    columns = {
        field: _column(column)
        for field, column in cells.items()
        if any(value is not None for value in column)
    }
    return SourceTable(path.name, columns, lines.__getitem__, reading)


def field_names(path: Path) -> list[str]:
    """Fields of the first object; none where it cannot be read.

    Raises:
        MissingData: the file cannot be opened.
        MalformedData: it is a damaged or an unknown archive.
    """
    data = read_bytes(path)
    try:
        _, first = next(_records(to_utf8(data, path.name, Reading()).decode(), path.name))
    except (MalformedData, StopIteration):
        return []
    return list(cast("dict[str, Any]", first)) if isinstance(first, dict) else []


def _records(text: str, file: str) -> Iterator[tuple[int, Any]]:
    """Each object with its line."""
    start = text.lstrip()[:3]
    if start.startswith("["):
        try:
            yield from enumerate(json.loads(text), start=1)
        except (ValueError, RecursionError, TypeError):
            raise _refused(file, 1, "a list that is no JSON") from None
        return
    # JSON has no quotes but double ones.
    is_python = start.startswith(("{'", "{u'", '{u"'))
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, ast.literal_eval(line.strip()) if is_python else json.loads(line)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                raise _refused(file, number, "a line that is no JSON") from None


def _rows(record: Any, rows_in: str | None, file: str, number: int) -> Iterator[dict[str, Any]]:
    if not isinstance(record, dict):
        raise _refused(file, number, "a line that is no object with fields")
    fields = cast("dict[str, Any]", record)
    if rows_in is None:
        yield fields
        return
    inner = fields.get(rows_in, [])
    if not isinstance(inner, list) or not all(
        isinstance(row, dict) for row in cast("list[Any]", inner)
    ):
        raise _refused(file, number, "the field of source.columns.rows_in is no list of objects")
    for row in cast("list[dict[str, Any]]", inner):
        yield {**fields, **row}


def _column(values: list[Any]) -> pa.Array:
    if any(isinstance(value, list) for value in values):
        return pa.array([list(_flat(value)) for value in values], pa.list_(pa.string()))
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _flat(value: Any) -> Iterator[str]:
    """Text of a value, or of all in a list of lists."""
    if isinstance(value, list):
        for part in cast("list[Any]", value):
            yield from _flat(part)
    elif value is not None:
        yield _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _refused(file: str, line: int, problem: str) -> MalformedData:
    """The error for one line, which is not quoted: it may be of any file."""
    return MalformedData(
        f"{file}, line {line}: {problem}.",
        field=file,
        remedy="correct the line or remove it.",
    )
