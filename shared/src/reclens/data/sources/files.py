"""Source files: which there are, and their columns.

Delimited text and Parquet are read whole, and malformed rows located.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from reclens.data.sources.columns import SourceTable
from reclens.data.sources.findings import Reading
from reclens.errors import MalformedData, MissingData

_BOM = b"\xef\xbb\xbf"
_UNIT_SEPARATOR = "\x1f"  # stands in for delimiters of two characters; no text has it
_MAX_BLOCK_BYTES = 1 << 28  # no row may be longer
_MAX_CELL_BYTES = 1 << 24


@dataclass(frozen=True)
class SourceFiles:
    """The files of one data set."""

    interactions: tuple[Path, ...]
    """At least one; read in this order."""
    items: Path | None = None
    """Titles and tags."""
    users: Path | None = None
    """Attributes of users."""
    tags: tuple[Path, ...] = ()
    """Tags in files of their own."""

    def all(self) -> list[Path]:
        """Every file, each once."""
        candidates = (*self.interactions, self.items, self.users, *self.tags)
        return list(dict.fromkeys(path for path in candidates if path is not None))


def folder_of(path: Path) -> Path:
    """``path`` itself when it is a folder, or the folder that the file is in.

    Raises:
        MissingData: nothing is there.
    """
    if path.is_dir():
        return path
    if path.is_file():
        return path.parent
    raise MissingData(
        f"there is no file or folder {path}.",
        field="source.path",
        remedy="give a path that exists on the machine that reads it (for jobs: the worker).",
    )


def beside(chosen: Path | None, *candidates: Path) -> Path | None:
    """``chosen`` when given, or the first candidate that is a file, or None.

    Raises:
        MissingData: ``chosen`` is given but is not a file.
    """
    if chosen is None:
        return next((path for path in candidates if path.is_file()), None)
    if not chosen.is_file():
        raise MissingData(
            f"there is no file {chosen}.",
            field="source.items_path",
            remedy="correct the path, or leave it out to go on without titles and tags.",
        )
    return chosen


# --- reading ------------------------------------------------------------------------------------


def read_delimited(
    path: Path,
    delimiter: str,
    *,
    names: list[str] | None = None,
    quoted: bool = False,
    encoding: str = "utf-8",
    reading: Reading | None = None,
) -> SourceTable:
    """Read delimited text; all columns are text. Blank lines are skipped.

    Args:
        path: the file.
        delimiter: one character, or ``::``.
        names: column names; None: the first line has them.
        quoted: cells may be in double quotes, as in CSV.
        encoding: of the file; a byte order mark is skipped.
        reading: how the specification says that cells are written, and where findings go.

    Raises:
        MissingData: the file cannot be opened.
        MalformedData: the file is empty, wrongly encoded, or a row has too many or too few fields.
    """
    data = _utf8(read_bytes(path).removeprefix(_BOM), path.name, encoding)
    if len(delimiter) > 1:
        data = data.replace(delimiter.encode(), _UNIT_SEPARATOR.encode())
        delimiter = _UNIT_SEPARATOR
    n_header = 0 if names else 1
    names = names or _header(data, path.name, delimiter, quoted)

    def line_of(row: int) -> int:
        return _line_of_record(data, delimiter, quoted, row + n_header)

    invalid: list[pyarrow.csv.InvalidRow] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(data),
            # One thread and names given: then invalid rows are numbered, in order.
            pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=min(max(len(data), 1), _MAX_BLOCK_BYTES),
                column_names=names,
            ),
            pyarrow.csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted,
                invalid_row_handler=note,
            ),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid:
        # Its message quotes the file, and a traceback would have the message.
        raise MalformedData(
            f"{path.name} cannot be read as delimited text.",
            field=path.name,
            remedy="check the delimiter and the quotes.",
        ) from None
    if invalid:
        row = invalid[0]
        raise MalformedData(
            f"{path.name}, line {line_of(row.number - 1 - n_header)}: expected "
            f"{row.expected_columns} fields, found {row.actual_columns}.",
            field=path.name,
            remedy="correct the row or remove it, or check the delimiter.",
        )
    table = table.slice(n_header)
    if quoted:
        _refuse_open_quote(path.name, data, table, line_of)
    columns = {name: table.column(name).combine_chunks() for name in names}
    return SourceTable(path.name, columns, line_of, reading)


def read_parquet(path: Path, reading: Reading | None = None) -> SourceTable:
    """Read a Parquet file; the line of a row, in messages, is its number from 1.

    Raises:
        MissingData: the file cannot be opened.
        MalformedData: it is not a Parquet file.
    """
    try:
        table = pq.read_table(pa.BufferReader(read_bytes(path)))
    except pa.ArrowInvalid:
        raise MalformedData(
            f"{path.name} is not a readable Parquet file.",
            field=path.name,
            remedy="write it again, e.g. with DuckDB, Polars or pandas.",
        ) from None
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    return SourceTable(path.name, columns, lambda row: row + 1, reading)


def read_bytes(path: Path) -> bytes:
    """Bytes of a file that must be there.

    Raises:
        MissingData: it is not, or may not be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingData(
            f"{path} cannot be read ({error.strerror or error}).",
            field="path",
            remedy="give the path of a file that the process may read.",
        ) from error


def header_line(path: Path) -> str:
    """First line of a text file, for finding out its delimiter.

    Raises:
        MissingData: the file cannot be opened.
    """
    return read_bytes(path).removeprefix(_BOM).split(b"\n", 1)[0].decode(errors="replace").strip()


# --- below ---------------------------------------------------------------------------------------


def _utf8(data: bytes, file: str, encoding: str) -> bytes:
    if not data.strip():
        raise MalformedData(f"{file} is empty.", field=file, remedy="give a file with rows.")
    if data.isascii():
        return data
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MalformedData(
            f"{file}, line {line}: not {encoding} text.",
            field=file,
            remedy="save the file as UTF-8.",
        ) from None


def _records(data: bytes, delimiter: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """First line (from 1) and fields of every row that is not blank. Slow: for messages only."""
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    previous_limit = csv.field_size_limit(_MAX_CELL_BYTES)
    try:
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
        reader = csv.reader(text, delimiter=delimiter, quoting=quoting)
        line = 1
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1
    finally:
        csv.field_size_limit(previous_limit)


def _header(data: bytes, file: str, delimiter: str, quoted: bool) -> list[str]:
    line, names = next(_records(data, delimiter, quoted))
    names = [name.strip() for name in names]
    for number, name in enumerate(names, start=1):
        if (first := names.index(name) + 1) < number:
            raise MalformedData(
                f"{file}, line {line}: columns {first} and {number} have the same name.",
                field=file,
                remedy="rename one of them.",
            )
    return names


def _line_of_record(data: bytes, delimiter: str, quoted: bool, number: int) -> int:
    starts = [line for line, _ in islice(_records(data, delimiter, quoted), number + 1)]
    return starts[-1] if starts else 1


def _refuse_open_quote(
    file: str, data: bytes, table: pa.Table, line_of: Callable[[int], int]
) -> None:
    """A quote that is never closed swallows the rest of the file into the last row's cell."""
    if data.count(b'"') % 2 == 0 or len(table) == 0:
        return
    last = table.slice(len(table) - 1).to_pylist()[0]
    for value in last.values():
        if value is not None and "\n" in value:
            raise MalformedData(
                f"{file}, line {line_of(len(table) - 1)}: a quote is opened and never closed.",
                field=file,
                remedy="close it, or remove it.",
            )
