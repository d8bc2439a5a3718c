"""Real Redis and S3, each a program that can be killed, and the small disk of the workers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from chaos.programs import Program, repeated
from reclens.ops.local.health import redis_answers, s3_answers
from reclens.ops.local.servers import (
    S3_PORTS,
    free_ports,
    redis_command,
    redis_settings,
    remove_s3_sockets,
    s3_command,
    s3_settings,
    write_identity,
)

_DISK_BYTES = 128 << 20
_LEFT_BYTES = 4096
_KEPT = 120
_NEW_NAMESPACE = 0x00020000  # CLONE_NEWNS


@dataclass
class _Asked:
    """A write, of which Redis tells when it is on its disk."""

    lengths: dict[Path, int] = field(default_factory=dict)
    """Of the log, by file, with the write in it."""
    on_disk: bool = False
    """Whether Redis has told so."""
    done: Future[None] | None = None
    """When no more will be told."""


class RedisServer:
    """Durable as in operation, and able to forget its last second."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        (port,) = free_ports(1)
        self.settings = redis_settings(port)
        self.address = f"127.0.0.1:{port}"
        self.client: Redis = Redis.from_url(self.settings.url.get_secret_value(), socket_timeout=10)
        self.program = Program(
            "redis",
            redis_command(port, folder),
            dict(os.environ),
            folder / "redis.log",
            lambda: redis_answers(self.settings),
        )
        self._sizes: deque[tuple[float, dict[Path, int]]] = deque(maxlen=_KEPT)
        self._asked: deque[_Asked] = deque(maxlen=_KEPT)

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Note how long the log of commands is, so that its end can be taken away."""
        with ThreadPoolExecutor(_KEPT) as pool:

            def record() -> None:
                with contextlib.suppress(OSError):
                    self._sizes.append((time.monotonic(), self._lengths()))
                    self._asked.append(asked := _Asked())
                    asked.done = pool.submit(self._ask, asked)

            with repeated(record, 0.05):
                yield

    @property
    def version(self) -> str:
        """Of the server."""
        return self.client.info("server")["redis_version"]

    def tells_disk(self) -> bool:
        """Whether it says what is on its disk: Redis 7.2 and later."""
        return tuple(map(int, self.version.split(".")[:2])) >= (7, 2)

    def _lengths(self) -> dict[Path, int]:
        return {path: path.stat().st_size for path in self._folder.rglob("*.aof")}

    def _ask(self, asked: _Asked) -> None:
        """Write something, and wait until it is on the disk."""
        url = self.settings.url.get_secret_value()
        once = Retry(NoBackoff(), 0)
        one = Redis.from_url(url, single_connection_client=True, retry=once, socket_timeout=10)
        with contextlib.suppress(RedisError, OSError), one:
            one.set("chaos:asking", "1")
            asked.lengths = self._lengths()
            asked.on_disk = one.execute_command("WAITAOF", 1, 0, 5000)[0] == 1

    def forget(self, seconds: float) -> None:
        """Take away what was written in the last ``seconds``, and nothing that may have been on the
        disk; it must be down."""
        until = time.monotonic() - seconds
        kept = [sizes for at, sizes in self._sizes if at <= until][-1]
        asked = list(self._asked)
        wait([one.done for one in asked if one.done is not None])
        last = max((n for n, one in enumerate(asked) if one.on_disk), default=None)
        if last is not None:
            # The first that was not told to be there: of what came before it, nobody knows.
            beyond = next((one.lengths for one in asked[last + 1 :] if one.lengths), None)
            if beyond is None:
                return
            kept = {path: max(size, kept.get(path, 0)) for path, size in beyond.items()}
        for path, size in kept.items():
            if path.exists() and path.stat().st_size > size:
                os.truncate(path, size)


class S3Server:
    """SeaweedFS with its data in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        data = folder / "data"
        data.mkdir()
        identity = folder / "s3.json"
        write_identity(identity)
        self._ports = dict(zip(S3_PORTS, free_ports(len(S3_PORTS)), strict=True))
        self.settings = s3_settings(self._ports["s3"], identity)
        self.program = Program(
            "s3",
            s3_command(self._ports, data, identity),
            dict(os.environ),
            folder / "s3.log",
            lambda: s3_answers(self.settings),
        )

    def tidy(self) -> None:
        """Remove what it leaves outside of its folder."""
        remove_s3_sockets(self._ports)


class SmallDisk:
    """A file system for the workers' caches and scratch files, which can be full.

    Where the system lets us, it is one of its own, in a namespace of mounts of this process and its
    children. Elsewhere the workers' right to write files is limited.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.mounted = _mounted(folder)
        self._filler = folder / "filler"

    def fill(self, programs: Iterable[Program]) -> None:
        """Leave next to nothing free."""
        if not self.mounted:
            for program in programs:
                program.limit(resource.RLIMIT_FSIZE, lambda _pid: 0)
            return
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while True:
                # Writes what fits, then fails.
                file.write(bytes(_LEFT_BYTES))

    def free(self, programs: Iterable[Program]) -> None:
        """Undo `fill`."""
        self._filler.unlink(missing_ok=True)
        if not self.mounted:
            for program in programs:
                program.limit(resource.RLIMIT_FSIZE, lambda _pid: resource.RLIM_INFINITY)

    def close(self) -> None:
        """Give it back."""
        if self.mounted:
            subprocess.run(["umount", "-l", self.folder], check=False, capture_output=True)


def _mounted(folder: Path) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(_NEW_NAMESPACE) != 0:
        return False
    for command in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "chaos", str(folder)],
    ):
        if subprocess.run(command, check=False, capture_output=True).returncode:
            return False
    return True


def clock_library() -> Path | None:
    """libfaketime, where it is installed."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return found[0] if found else None
