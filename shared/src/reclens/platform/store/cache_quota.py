"""A quota on the local copies of objects: those used least recently are evicted first.

Processes share the copies, and one may evict what another reads. So each reads through hard links
of its own, ``held/PROCESS/...``, which stay valid until it ends: eviction takes a name away, and
the bytes go with the last one. What a process that was killed has held is removed by the next one.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_GUARD: Final = ".guard"
_LOCK: Final = ".lock"
# Evicted down to this share of the quota, and looked at again when this share of it has come.
_DOWN_TO, _LOOK_AFTER = 0.9, 0.02

_held: dict[Path, Path] = {}
_locks: list[int] = []


class CacheQuota:
    """Keeps a cache below a number of bytes.

    Args:
        folder: of the cache, with its copies in ``objects/``.
        max_bytes: of the copies, whether read just now or not. What processes that run hold of
            evicted ones comes on top.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._objects = folder / "objects"
        self._max_bytes = max_bytes
        self._unseen = float("inf")
        self.folder = _held_by_this_process(folder)
        """Of this process: what is in it stays until it ends."""

    def find(self, sha256: str, size: int) -> Path | None:
        """What this process holds already; None: it does not."""
        held = self.folder / sha256
        return held if held.exists() and held.stat().st_size == size else None

    def hold(self, copy: Path) -> Path:
        """A link to a copy that stays as long as this process, and room for it.

        Raises:
            FileNotFoundError: another process has just evicted it.
        """
        os.utime(copy)
        held = self.folder / copy.name
        with suppress(FileExistsError):
            os.link(copy, held)
        self._unseen += held.stat().st_size
        if self._unseen > _LOOK_AFTER * self._max_bytes:
            self._evict()
            self._unseen = 0
        return held

    def _evict(self) -> None:
        copies = list(_files(self._objects))
        total = sum(size for _, size, _ in copies)
        if total <= self._max_bytes:
            return
        for _, size, path in sorted(copies):
            if total <= _DOWN_TO * self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each copy was last used, its bytes, and where it is."""
    for path in folder.glob("*/*"):
        with suppress(FileNotFoundError):
            found = path.stat()
            yield found.st_mtime, found.st_size, path


def _held_by_this_process(cache: Path) -> Path:
    cache = cache.absolute()
    # After a fork, the parent's is the child's too: it lives as long as either.
    if cache not in _held:
        above = cache / "held"
        above.mkdir(parents=True, exist_ok=True)
        with _locked(above / _GUARD):
            for other in above.iterdir():
                if other.is_dir() and _is_left(other):
                    shutil.rmtree(other, ignore_errors=True)
            own = above / f"{os.getpid()}-{secrets.token_hex(4)}"
            own.mkdir()
            lock = os.open(own / _LOCK, os.O_CREAT | os.O_RDWR)
            fcntl.flock(lock, fcntl.LOCK_EX)
        _locks.append(lock)
        _held[cache] = own
        atexit.register(_leave, own, os.getpid())
    return _held[cache]


def _is_left(folder: Path) -> bool:
    """Whether the process that it is of has ended."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _leave(folder: Path, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
