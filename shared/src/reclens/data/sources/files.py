"""Source files: which there are, where they are looked for; and the columns of Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from reclens.data.sources.columns import SourceTable
from reclens.data.sources.encodings import read_bytes
from reclens.data.sources.findings import Reading
from reclens.errors import MalformedData, MissingData


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
    """``chosen`` when given, or the first candidate that is a file, packed or not, or None.

    Raises:
        MissingData: ``chosen`` is given but is not a file.
    """
    if chosen is None:
        packed = [path.with_name(f"{path.name}.gz") for path in candidates]
        return next((path for path in (*candidates, *packed) if path.is_file()), None)
    if not chosen.is_file():
        raise MissingData(
            f"there is no file {chosen}.",
            field="source.items_path",
            remedy="correct the path, or leave it out to go on without titles and tags.",
        )
    return chosen


def read_parquet(path: Path, reading: Reading | None = None) -> SourceTable:
    """Read a Parquet file; the line of a row, in messages, is its number from 1.

    Raises:
        MissingData: the file cannot be opened.
        MalformedData: it is not a Parquet file.
    """
    try:
        table = pq.read_table(pa.BufferReader(read_bytes(path)))
    except pa.ArrowInvalid:
        raise _no_parquet(path) from None
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    return SourceTable(path.name, columns, lambda row: row + 1, reading)


def parquet_names(path: Path) -> list[str]:
    """Names of the columns of a Parquet file, of which no row is read.

    Raises:
        MalformedData: it is not a Parquet file.
    """
    try:
        return pq.read_schema(path).names
    except pa.ArrowException:
        raise _no_parquet(path) from None


def _no_parquet(path: Path) -> MalformedData:
    return MalformedData(
        f"{path.name} is not a readable Parquet file.",
        field=path.name,
        remedy="write it again, e.g. with DuckDB, Polars or pandas.",
    )
