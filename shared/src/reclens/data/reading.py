"""Which reader reads a source, from which files, and whether they are those that were meant."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from reclens.contracts import ColumnNames, SourceSpec
from reclens.contracts.datasets import DATASETS
from reclens.data.sources.files import SourceFiles
from reclens.data.sources.raw import RawData
from reclens.errors import InvalidInput, MalformedData, MissingData
from reclens.extensions import ExtensionPoint


class Reader(Protocol):
    """How one format is found and read: a module with these two functions, or any such object."""

    def locate(self, path: Path, items_path: Path | None = None) -> SourceFiles:
        """The files to read.

        Args:
            path: a folder, or the file with the interactions.
            items_path: the file with the items' texts; None: looked for beside ``path``.

        Raises:
            MissingData: a file that is needed is not there.
        """
        ...

    def read(self, files: SourceFiles, columns: ColumnNames) -> RawData:
        """The content of ``files``.

        Args:
            files: what ``locate`` found.
            columns: names of columns, for formats that leave them open.

        Raises:
            MalformedData: a row cannot be read; names the file, the line and the value.
        """
        ...


def _flaw(loaded: object) -> str:
    lacking = [name for name in ("locate", "read") if not callable(getattr(loaded, name, None))]
    return f"lacks the function {' and '.join(lacking)}" if lacking else ""


READERS: ExtensionPoint[Reader] = ExtensionPoint(
    "reclens.readers",
    noun="reader of the format",
    field="source.format",
    page="docs/how-to/extend/reader.md",
    flaw=_flaw,
)
"""By the ``format`` of a ``SourceSpec``."""


def published_source(name: str, folder: Path) -> SourceSpec:
    """What reads the published data set ``name`` from ``folder``.

    Raises:
        NotFound: no installed package declares the data set.
        MissingData: the folder lacks a file; the message names those that are missing.
    """
    layouts = DATASETS.load(name).layouts
    lacking: list[str] = []
    for layout in layouts:
        missing = [file for file in layout.files if not (folder / file).is_file()]
        if not missing:
            # The file, not the folder: whatever else lies there does not change the data set.
            return SourceSpec(format=layout.format, path=str(folder / layout.files[0]))
        lacking.append(", ".join(missing))
    raise MissingData(
        f"{folder} is not a folder with {name}: it lacks {'; or '.join(lacking)}.",
        field="path",
        remedy="give the folder that has "
        f"{', or '.join(', '.join(layout.files) for layout in layouts)}.",
    )


def read_source(source: SourceSpec) -> RawData:
    """Everything that ``source`` tells.

    Raises:
        NotFound: no installed package reads its format.
        MissingData: a file is not there.
        MalformedData: a row cannot be read, or there is none.
    """
    reader = READERS.load(source.format)
    files = source_files(source)
    try:
        raw = reader.read(files, source.columns)
    except (pa.ArrowException, UnicodeError, csv.Error) as error:
        # What libraries say of a file that they cannot read quotes it.
        raise MalformedData(
            f"a file of the source cannot be read as {source.format} ({type(error).__name__}).",
            field="source.path",
            remedy="check that it is of that format, and in UTF-8.",
        ) from None
    if len(raw) == 0:
        names = ", ".join(path.name for path in files.interactions)
        raise MalformedData(
            f"{names}: there are no rows of interactions.",
            field="source.path",
            remedy="give a file with rows, or name the right one.",
        )
    return raw


def source_files(source: SourceSpec) -> SourceFiles:
    """The files that reading ``source`` would read.

    Raises:
        NotFound: no installed package reads its format.
        MissingData: the interactions, or a file that is named, are not there.
    """
    items_path = None if source.items_path is None else Path(source.items_path)
    return READERS.load(source.format).locate(Path(source.path), items_path)


def checksums(source: SourceSpec) -> dict[str, str]:
    """SHA-256 (hexadecimal) of every file of ``source``, by file name.

    Raises:
        MissingData: a file is not there.
        InvalidInput: two files have the same name.
    """
    sums: dict[str, str] = {}
    for path in source_files(source).all():
        if path.name in sums:
            raise InvalidInput(
                f"two files of the source are called {path.name}.",
                field="source.items_path",
                remedy="rename one of them.",
            )
        with path.open("rb") as file:
            sums[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def verify_checksums(source: SourceSpec) -> None:
    """Check the files against ``source.sha256``, where that is given.

    Raises:
        InvalidInput: a file has other bytes, or is read but not listed.
        MissingData: a listed file is not among those that would be read.
    """
    if not source.sha256:
        return
    found = checksums(source)
    for name in sorted(source.sha256.keys() - found.keys()):
        raise MissingData(
            f"{name} is listed, but is not among the files at {source.path}: {', '.join(found)}.",
            field="source.sha256",
            remedy="bring the file back, or submit the job again.",
        )
    for name, digest in found.items():
        expected = source.sha256.get(name)
        if expected is None or expected.lower() != digest:
            raise InvalidInput(
                f"{name} has SHA-256 {digest}, the specification says {expected or 'nothing'}.",
                field="source.sha256",
                remedy="bring back the file that was meant, or submit the job again for this one.",
            )
