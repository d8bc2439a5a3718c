"""A folder of secrets: who may enter it, and files that are whole or not there."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from reclens.errors import Unavailable
from reclens.platform.files import write_atomically

_READ_BY_ALL = 0o644
_READ_BY_OWNER = 0o600
_ENTERED_BY_ALL = 0o755
_ENTERED_BY_OWNER = 0o700


class SecretFolder:
    """Only its owner may enter it. Within the block, no other run changes it.

    All that is made in it belongs to the folder's owner, also when root makes it, so that it does
    not matter who runs first: a container, or a person.

    Raises (all methods):
        Unavailable: it cannot be read or written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.changed: list[str] = []
        self._handle = -1
        self._owner = (os.geteuid(), os.getegid())

    def __enter__(self) -> Self:
        with _system_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True, mode=_ENTERED_BY_OWNER)
            self._handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            found = os.fstat(self._handle)
            if stat.S_IMODE(found.st_mode) != _ENTERED_BY_OWNER:
                os.fchmod(self._handle, _ENTERED_BY_OWNER)
        self._owner = (found.st_uid, found.st_gid)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._handle >= 0:
            os.close(self._handle)

    def read(self, name: str) -> str | None:
        """What the file says, without white space around it; None where there is none."""
        with _system_errors(self.root / name):
            path = self.root / name
            return (path.read_text().strip() or None) if path.exists() else None

    def write(self, name: str, text: str, *, private: bool = False) -> None:
        """Let the file say ``text``; readers see the old or the new, never half of one.

        Args:
            name: ``folder/file``, or ``file``.
            text: all of it.
            private: nobody but the folder's owner may read it; else all may who get here.
        """
        path = self.root / name
        with _system_errors(path):
            if path.parent != self.root:
                path.parent.mkdir(exist_ok=True)
                _own(path.parent, _ENTERED_BY_ALL, self._owner)
            if not path.exists() or path.read_text() != text:
                write_atomically(path, text)
                self.changed.append(name)
            _own(path, _READ_BY_OWNER if private else _READ_BY_ALL, self._owner)


def _own(path: Path, mode: int, ids: tuple[int, int]) -> None:
    found = path.stat()
    # The mode first: whoever gives a file away may not change it any more.
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)
    if (found.st_uid, found.st_gid) != ids and os.geteuid() == 0:
        os.chown(path, *ids)
    elif found.st_uid != ids[0]:
        raise PermissionError(1, f"giving it to user {ids[0]} takes root", str(path))


@contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    """Turns what the system refuses into `Unavailable`."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"{error.filename or path}: {error.strerror}.",
            field="folder",
            remedy="run it as the folder's owner, or as root.",
        ) from error
