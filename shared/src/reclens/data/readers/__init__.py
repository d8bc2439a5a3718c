"""One file per format; to add one: a module with ``locate`` and ``read``, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reclens.contracts import ColumnNames
from reclens.data.raw import RawData
from reclens.data.readers import hetrec, movielens, recbole, rechorus, sequences, table
from reclens.data.readers.source_files import SourceFiles

__all__ = ["READERS", "Reader", "SourceFiles"]


@dataclass(frozen=True)
class Reader:
    """How one format is found and read."""

    locate: Callable[[Path, Path | None], SourceFiles]
    """Path of a folder or interactions file, path of the item file or None: the files to read."""
    read: Callable[[SourceFiles, ColumnNames], RawData]
    """Those files, the names of columns: their content."""


READERS: dict[str, Reader] = {
    "movielens": Reader(movielens.locate, movielens.read),
    "recbole": Reader(recbole.locate, recbole.read),
    "rechorus": Reader(rechorus.locate, rechorus.read),
    "sequences": Reader(sequences.locate, sequences.read),
    "hetrec": Reader(hetrec.locate, hetrec.read),
    "table": Reader(table.locate, table.read),
}
"""By the ``format`` of ``SourceSpec``."""
