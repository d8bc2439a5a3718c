"""Which files a reader reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reclens.errors import MissingData


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
