"""Redis and S3 as processes of one's own, from the binaries that the local stack runs.

They keep their data over a restart; what need not takes `servers`.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from reclens.ops.local.health import redis_answers, s3_answers, wait_until
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
from reclens.platform.settings.models import RedisSettings, S3Settings

_START_ATTEMPTS = 3

T = TypeVar("T")


@contextmanager
def redis_server(folder: Path, users: Path | None = None) -> Iterator[RedisSettings]:
    """A Redis of one's own with its data in ``folder``; stopped on leaving.

    Args:
        folder: data and log.
        users: file of users (``aclfile``); the settings that are returned name none of them. None:
            everybody may do everything.

    Raises:
        Unavailable: it did not start; the message ends with its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    accounts = [] if users is None else ["--aclfile", str(users)]

    def start() -> tuple[RedisSettings, subprocess.Popen[bytes]]:
        (port,) = free_ports(1)
        process = _spawn([*redis_command(port, folder), *accounts], folder / "redis.log")
        return redis_settings(port), process

    server, process = _start(start, redis_answers, folder / "redis.log")
    try:
        yield server
    finally:
        _stop(process)


@contextmanager
def s3_server(folder: Path, identities: Path | None = None) -> Iterator[S3Settings]:
    """An S3 server of one's own with its data in ``folder``; stopped on leaving.

    Args:
        folder: data and log.
        identities: who may do what (``s3.config``); the settings that are returned are those of
            the first one. None: one who may do everything.

    Raises:
        Unavailable: it did not start; the message ends with its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    data.mkdir(exist_ok=True)
    identity, log = identities or folder / "s3.json", folder / "s3.log"
    if not identity.exists():
        write_identity(identity)
    ports: dict[str, int] = {}

    def start() -> tuple[S3Settings, subprocess.Popen[bytes]]:
        ports.update(zip(S3_PORTS, free_ports(len(S3_PORTS)), strict=True))
        process = _spawn(s3_command(ports, data, identity), log)
        return s3_settings(ports["s3"], identity), process

    server, process = _start(start, s3_answers, log)
    try:
        yield server
    finally:
        _stop(process)
        remove_s3_sockets(ports)


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        # Its own session: Ctrl-C in the terminal is for the caller, who then stops it in order.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=tempfile.gettempdir(),
        )


def _start(
    start: Callable[[], tuple[T, subprocess.Popen[bytes]]],
    answers: Callable[[T], bool],
    log: Path,
) -> tuple[T, subprocess.Popen[bytes]]:
    # Between drawing a port and listening on it somebody else may take it: draw again then.
    for attempt in range(1, _START_ATTEMPTS + 1):
        server, process = start()
        try:
            wait_until(
                lambda server=server: answers(server),
                alive=lambda process=process: process.poll() is None,
                what=log.stem,
                log=log,
                timeout_seconds=30,
            )
        except BaseException:
            died = process.poll() is not None
            _stop(process)
            if died and attempt < _START_ATTEMPTS:
                continue
            raise
        return server, process
    raise AssertionError("unreachable: the last attempt returns or raises")


def _stop(process: subprocess.Popen[bytes], patience_seconds: float = 10) -> None:
    process.terminate()
    try:
        process.wait(patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
