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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

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
_KEPT_SIZES = 400
_ASKING = 32
_NEW_NAMESPACE = 0x00020000  # CLONE_NEWNS


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
        self._sizes: deque[tuple[float, dict[Path, int]]] = deque(maxlen=_KEPT_SIZES)
        self._on_disk: dict[Path, int] = {}

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Note how long the log of commands is, so that its end can be taken away."""
        with ThreadPoolExecutor(_ASKING) as pool:

            def record() -> None:
                with contextlib.suppress(OSError):
                    sizes = {path: path.stat().st_size for path in self._folder.rglob("*.aof")}
                    self._sizes.append((time.monotonic(), sizes))
                    pool.submit(self._ask, sizes)

            with repeated(record, 0.05):
                yield

    @property
    def version(self) -> str:
        """Of the server."""
        return self.client.info("server")["redis_version"]

    def tells_disk(self) -> bool:
        """Whether it says what is on its disk: Redis 7.2 and later."""
        return tuple(map(int, self.version.split(".")[:2])) >= (7, 2)

    def _ask(self, sizes: dict[Path, int]) -> None:
        """Wait until the log is on the disk as far as ``sizes``."""
        with contextlib.suppress(RedisError, OSError):
            with self.client.pipeline(transaction=False) as pipe:
                # It waits for what its own connection has written.
                pipe.set("chaos:asking", "1")
                pipe.execute_command("WAITAOF", 1, 0, 5000)
                _, (synced, _) = pipe.execute()
            if synced:
                for path, size in sizes.items():
                    self._on_disk[path] = max(size, self._on_disk.get(path, 0))

    def forget(self, seconds: float) -> None:
        """Take away what was written in the last ``seconds``, apart from what Redis has told to be
        on its disk; it must be down."""
        until = time.monotonic() - seconds
        known = [sizes for at, sizes in self._sizes if at <= until]
        for path, size in known[-1].items():
            kept = max(size, self._on_disk.get(path, 0))
            if path.exists() and path.stat().st_size > kept:
                os.truncate(path, kept)
        self._on_disk.clear()


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
