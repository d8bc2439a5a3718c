"""Files that people and other processes read and write meanwhile: read whole, replaced whole."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from reclens.errors import InvalidInput, MissingData, RecLensError

T = TypeVar("T")

logger = structlog.get_logger(__name__)


def read_text(path: Path, *, field: str, remedy: str = "correct the path.") -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Args:
        path: of the file.
        field: what the error names.
        remedy: what to do where it is not there.

    Raises:
        MissingData: it is not there, or cannot be read.
        InvalidInput: it is not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MissingData(
            f"cannot read {path} ({error.strerror}).", field=field, remedy=remedy
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path} is not in UTF-8.", field=field, remedy="save it in UTF-8."
        ) from error


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write ``text`` so that a reader sees the old or the new file, never half of one.

    Args:
        path: file in a folder that is there.
        text: all of it.
        mode: who may read and write it.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def path_below(root: Path, name: str) -> Path:
    """The file that ``name`` names below ``root``: the one way from a name that others chose, in a
    manifest or an archive, to a path.

    Args:
        root: folder; it need not exist.
        name: relative, with slashes.

    Raises:
        InvalidInput: it names something outside, be it by dots, as an absolute path, or through a
            link.
    """
    path = root / name
    if "\0" not in name and path.resolve().is_relative_to(root.resolve()) and path != root:
        return path
    raise InvalidInput(
        f"{name[:100]!r} is no file below {root}.",
        field="name",
        remedy="what names it is damaged, or was made to deceive: do not use it.",
    )


_SYSTEM = tuple(Path(folder) for folder in ("/proc", "/sys", "/dev"))


def is_data_below(path: Path, roots: Sequence[Path], never: Sequence[Path] = ()) -> bool:
    """Whether ``path``, links followed, is at or below one of ``roots`` and may be data: a regular
    file, a folder, or nothing yet. Hidden files, those in hidden folders (``.ssh``, ``.env``), and
    what the system shows of processes and devices are none; nor is what is below ``never``."""
    try:
        found = path.resolve()
    except (OSError, RuntimeError):  # links that lead in a circle
        return False
    if not _is_named_below(found, roots, never):
        return False
    try:
        mode = found.stat().st_mode
    except OSError:
        # Who reads it says why it cannot.
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def is_open_data_below(descriptor: int, roots: Sequence[Path], never: Sequence[Path] = ()) -> bool:
    """As `is_data_below`, of a file that is open: whatever a path leads to meanwhile, this is what
    is read. Where the system does not name open files, only its kind is looked at."""
    link = open_path(descriptor)
    named = not link.exists() or _is_named_below(link.readlink(), roots, never)
    return named and stat.S_ISREG(os.fstat(descriptor).st_mode)


def open_path(descriptor: int) -> Path:
    """Where Linux has this process's open file as a path."""
    return Path(f"/proc/{os.getpid()}/fd/{descriptor}")


def _is_named_below(found: Path, roots: Sequence[Path], never: Sequence[Path]) -> bool:
    if any(found.is_relative_to(folder) for folder in (*_SYSTEM, *never)):
        return False
    parts = [found.relative_to(root).parts for root in roots if found.is_relative_to(root)]
    return any(all(not part.startswith(".") for part in below) for below in parts)


def file_stamp(path: Path) -> tuple[int, int, int] | None:
    """Time of change, size and inode: a file that was written anew has another stamp. None where
    there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class FollowedFiles(Generic[T]):
    """Hot reload of what is read from files: it is read again when one of them has changed. What
    cannot be used, e.g. while one of two has been replaced, is logged, and what was read before
    stays.

    Args:
        files: that are looked at for changes.
        read: reads them.
        what: is read, for the log.

    Raises:
        RecLensError: from ``read``, to begin with.
    """

    def __init__(self, files: Sequence[Path], read: Callable[[], T], what: str) -> None:
        self._files = files
        self._read = read
        self._what = what
        # Several threads may ask at once.
        self._lock = threading.Lock()
        self._stamps = [file_stamp(path) for path in files]
        self.current = read()
        """As last read."""

    def renewed(self) -> T | None:
        """What was read just now, as a file had changed; None where there is nothing new."""
        with self._lock:
            stamps = [file_stamp(path) for path in self._files]
            if stamps == self._stamps:
                return None
            self._stamps = stamps
            try:
                self.current = self._read()
            except RecLensError as error:
                logger.error(
                    f"{self._what} not reloaded, what was read before stays", error=error.sentence
                )
                return None
            logger.info(f"{self._what} reloaded", file=str(self._files[0]))
            return self.current
