"""Delimited text: what divides it, what its quotes mean, and where a row is malformed.

Quotes mean what they mean in CSV where every cell that begins with one ends with one. Where that is
not so, they are text if every line has the fields of a row by itself; else the file is refused. So
no row ends up within another's cell.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv

from reclens.data.sources.columns import SourceTable
from reclens.data.sources.encodings import read_bytes, to_utf8
from reclens.data.sources.findings import Reading
from reclens.errors import MalformedData

_UNIT_SEPARATOR: Final = "\x1f"  # stands in for delimiters of two characters; no text has it
_MAX_BLOCK_BYTES: Final = 1 << 28  # no row may be longer
_MAX_CELL_BYTES: Final = 1 << 24
_DELIMITERS: Final = "\t,;|"
_SAMPLE_BYTES, _SAMPLE_ROWS = 1 << 16, 100
_LINE: Final = re.compile(rb"[^\r\n]++")


def read_delimited(
    path: Path,
    delimiter: str | None,
    *,
    names: list[str] | None = None,
    expected: Collection[str] = (),
    quoted: bool | None = False,
    encoding: str | None = None,
    reading: Reading | None = None,
) -> SourceTable:
    """Read delimited text; all columns are text. Blank lines are skipped.

    Args:
        path: the file.
        delimiter: one character, or several, as ``::``; None: found out.
        names: column names; None: the first line has them.
        expected: names that the first line should have, by which the delimiter is found out.
        quoted: cells may be in double quotes, as in CSV; None: found out.
        encoding: of files that are not in UTF-8, where the format's publisher uses another.
        reading: how the specification says that cells are written, and where findings go.

    Raises:
        MissingData: the file cannot be opened.
        MalformedData: the file is empty, wrongly encoded, a quote is never closed, or a row has too
            many or too few fields.
    """
    reading = reading or Reading()
    data = to_utf8(read_bytes(path), path.name, reading, published=encoding)
    if delimiter is None:
        delimiter = reading.columns.delimiter or _find_delimiter(data, expected)
    if len(delimiter) > 1:
        data = data.replace(delimiter.encode(), _UNIT_SEPARATOR.encode())
        delimiter = _UNIT_SEPARATOR
    text = _Text(path.name, data, delimiter)
    if quoted is not False and _has_quotes(text, found_out=quoted is None, reading=reading):
        text.escape = "\\" if reading.columns.quoting == "backslash" else None
        text.quoted = True
    n_header = 0 if names else 1
    names = names or text.header()

    def line_of(row: int) -> int:
        return text.line_of(row + n_header)

    table = _parsed(text, names, n_header)
    columns = {name: table.column(name).combine_chunks() for name in names}
    return SourceTable(path.name, columns, line_of, reading)


def header_names(path: Path) -> list[str]:
    """Names in the first line of delimited text; none where it cannot be read.

    Raises:
        MissingData: the file cannot be opened.
        MalformedData: it is a damaged or an unknown archive.
    """
    data = read_bytes(path)
    try:
        data = to_utf8(data, path.name, Reading(), published="latin-1")
        return _sample(data, _find_delimiter(data, ())).header()
    except MalformedData:
        return []


class _Text:
    """A file's text with what divides it."""

    def __init__(self, file: str, data: bytes, delimiter: str) -> None:
        self.file, self.data, self.delimiter = file, data, delimiter
        self.quoted = False
        self.escape: str | None = None

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """First line (from 1) and fields of every row that is not blank. Slow: for messages."""
        previous_limit = csv.field_size_limit(_MAX_CELL_BYTES)
        try:
            reader = csv.reader(
                io.TextIOWrapper(io.BytesIO(self.data), encoding="utf-8", newline=""),
                delimiter=self.delimiter,
                quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
                escapechar=self.escape,
            )
            line = 1
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
        finally:
            csv.field_size_limit(previous_limit)

    def header(self) -> list[str]:
        """Names in the first line."""
        line, names = next(self.records())
        names = [name.strip() for name in names]
        for number, name in enumerate(names, start=1):
            if (first := names.index(name) + 1) < number:
                raise MalformedData(
                    f"{self.file}, line {line}: columns {first} and {number} have the same name.",
                    field=self.file,
                    remedy="rename one of them.",
                )
        return names

    def line_of(self, number: int) -> int:
        """First line of a row, from 0, the header included."""
        starts = [line for line, _ in islice(self.records(), number + 1)]
        return starts[-1] if starts else 1


def _parsed(text: _Text, names: list[str], n_header: int) -> pa.Table:
    invalid: list[pyarrow.csv.InvalidRow] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(text.data),
            # One thread and names given: then invalid rows are numbered, in order.
            pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=min(max(len(text.data), 1), _MAX_BLOCK_BYTES),
                column_names=names,
            ),
            pyarrow.csv.ParseOptions(
                delimiter=text.delimiter,
                quote_char='"' if text.quoted else False,
                escape_char=text.escape or False,
                newlines_in_values=text.quoted,
                invalid_row_handler=note,
            ),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid:
        # Its message quotes the file, and a traceback would have the message.
        raise MalformedData(
            f"{text.file} cannot be read as delimited text.",
            field=text.file,
            remedy="check the delimiter and the quotes.",
        ) from None
    if invalid:
        row = invalid[0]
        others = f" ({len(invalid)} rows have too many or too few)" if len(invalid) > 1 else ""
        remedy = "correct the row or remove it, or check the delimiter."
        if len(table) <= n_header and len({one.actual_columns for one in invalid}) == 1:
            remedy = "no row has as many as there are names: correct the first line."
        raise MalformedData(
            f"{text.file}, line {text.line_of(row.number - 1)}: expected "
            f"{row.expected_columns} fields, found {row.actual_columns}{others}.",
            field=text.file,
            remedy=remedy,
        )
    return table.slice(n_header)


# --- what divides cells --------------------------------------------------------------------------


def _find_delimiter(data: bytes, expected: Collection[str]) -> str:
    """Tab, comma, semicolon or bar: by which the first line has most of the names that are
    expected; of equals that by which most of the first rows have as many fields as it; then that
    which gives most fields."""

    def fit(delimiter: str) -> tuple[int, float, int]:
        text = _sample(data, delimiter)
        rows = [fields for _, fields in islice(text.records(), _SAMPLE_ROWS)]
        names, n = {name.strip() for name in rows[0]}, len(rows[0])
        alike = sum(len(fields) == n for fields in rows) / len(rows)
        return len(names & set(expected)), alike if n > 1 else 0.0, n

    return max(_DELIMITERS, key=fit)  # the first of equals


def _sample(data: bytes, delimiter: str) -> _Text:
    """The first rows."""
    sample = data[:_SAMPLE_BYTES]
    if len(data) > len(sample):
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    text = _Text("", sample.decode(errors="replace").encode(), delimiter)
    text.quoted = _fault(text.data, delimiter, None) is None
    return text


# --- what quotes mean ----------------------------------------------------------------------------


def _has_quotes(text: _Text, *, found_out: bool, reading: Reading) -> bool:
    """Whether quotes are those of CSV, and no text.

    Raises:
        MalformedData: a cell begins with a quote that does not end it, and lines are no rows.
    """
    chosen = reading.columns.quoting if found_out else "double"
    if chosen == "none" or b'"' not in text.data:
        return False
    escape = "\\" if chosen == "backslash" else None
    fault = _fault(text.data, text.delimiter, escape)
    if fault is None:
        level, first = "warning", _spanning(text) if chosen is None else None
        if first is None or not _lines_are_rows(text):
            return True
    elif chosen is None and _lines_are_rows(text):
        level, first = "note", fault
    else:
        line = text.data.count(b"\n", 0, fault) + 1
        closed = re.compile(_cell(escape), re.DOTALL).match(text.data, fault)
        problem = "does not end it" if closed else "is opened and never closed"
        raise MalformedData(
            f"{text.file}, line {line}: a quote at the beginning of a cell {problem}.",
            field=text.file,
            remedy="close the quote, or double it within the cell; or set source.columns.quoting "
            'to none (quotes are text) or backslash (as in \\").',
        )
    reading.tell(
        "quotes-are-text",
        level,
        sum(b'"' in line for line in _LINE.findall(text.data)),
        "quotes are read as text: not all of them are closed, and every line is a row by itself."
        if level == "note"
        else "quotes are read as text: every line is a row by itself, though some lie in quotes.",
        file=text.file,
        line=text.data.count(b"\n", 0, first) + 1,
        remedy="set source.columns.quoting to double if they enclose cells.",
    )
    return False


def _cell(escape: str | None) -> bytes:
    """Pattern of a quoted cell."""
    return rb'"(?:[^"\\]++|\\.|"")*+"' if escape else rb'"(?:[^"]++|"")*+"'


def _fault(data: bytes, delimiter: str, escape: str | None) -> int | None:
    """Where the first cell is that begins with a quote and does not end with one."""
    edge = re.escape(delimiter).encode() + rb"\r\n"
    cell = rb"(?<![^%b])%b(?=[%b]|\Z)" % (edge, _cell(escape), edge)
    well_formed = re.compile(rb'(?s:[^"]++|%b|(?<=[^%b])")*+' % (cell, edge))
    match = well_formed.match(data)
    end = match.end() if match else 0
    return None if end == len(data) else end


def _spanning(text: _Text) -> int | None:
    """Where the first quoted cell is that has a line break."""
    edge = re.escape(text.delimiter).encode() + rb"\r\n"
    cells = re.compile(rb"(?s:(?<![^%b])%b)" % (edge, _cell(None)))
    found = (match.start() for match in cells.finditer(text.data) if b"\n" in match[0])
    return next(found, None)


def _lines_are_rows(text: _Text) -> bool:
    """Whether every line has as many fields as the first, quotes being text."""
    delimiter = text.delimiter.encode()
    lines = _LINE.finditer(text.data)
    n = next(lines)[0].count(delimiter)
    return n > 0 and all(line[0].count(delimiter) == n for line in lines)
