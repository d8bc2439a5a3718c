"""Does it answer? One probe per kind of server, and a wait that notices a death at once."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from reclens.errors import Unavailable
from reclens.platform.polling import poll_until
from reclens.platform.settings.models import RedisSettings, S3Settings

PROBE_SECONDS = 2.0
"""Patience of one probe."""
_POLL_SECONDS = 0.05
_TAIL_LINES = 15


def redis_answers(settings: RedisSettings) -> bool:
    """Whether Redis answers PING with PONG: not while it is still loading its data.

    Where it has accounts, the one for health checks asks; where it has none, that one is unknown
    and it answers all the same.
    """
    parts = urlsplit(settings.url.get_secret_value())
    address = (parts.hostname or "127.0.0.1", parts.port or 6379)
    try:
        with socket.create_connection(address, timeout=PROBE_SECONDS) as connection:
            connection.sendall(b"AUTH health -\r\nPING\r\n")
            with connection.makefile("rb") as answers:
                answers.readline()
                return answers.readline().startswith(b"+PONG")
    except OSError:
        return False


def s3_answers(settings: S3Settings) -> bool:
    """Whether the store answers a signed request, so that its identities are loaded too."""
    if not port_open(settings.endpoint):
        return False
    # Slow imports, not needed by whoever only wants another probe.
    import urllib3  # noqa: PLC0415
    from minio import Minio  # noqa: PLC0415
    from minio.error import MinioException  # noqa: PLC0415

    pool = urllib3.PoolManager(timeout=PROBE_SECONDS, retries=False)
    client = Minio(
        settings.endpoint,
        access_key=settings.access_key.get_secret_value(),
        secret_key=settings.secret_key.get_secret_value(),
        secure=settings.secure,
        region=settings.region,
        http_client=pool,
    )
    try:
        client.list_buckets()
    except (MinioException, urllib3.exceptions.HTTPError):
        return False
    finally:
        pool.clear()
    return True


def port_open(target: str) -> bool:
    """Whether somebody listens at ``host:port``."""
    host, _, port = target.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=PROBE_SECONDS):
            return True
    except OSError:
        return False


def log_tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log, indented for an error message."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        text = ""
    tail = text.rstrip().splitlines()[-lines:] or ["(empty)"]
    return "\n".join(f"  | {line}" for line in tail)


def wait_until(
    answers: Callable[[], bool],
    *,
    alive: Callable[[], bool],
    what: str,
    log: Path,
    timeout_seconds: float,
) -> None:
    """Poll ``answers`` until it is true.

    Args:
        answers: the probe.
        alive: whether the process still runs; checked before each probe.
        what: name for the message.
        log: the process's log; its tail is put into the message.
        timeout_seconds: patience.

    Raises:
        Unavailable: the process died or does not answer in time.
    """
    running = True

    def over() -> bool:
        nonlocal running
        running = alive()
        return not running or answers()

    if not poll_until(over, seconds=timeout_seconds, every=_POLL_SECONDS) or not running:
        problem = f"does not answer after {timeout_seconds:.0f} s" if running else "has died"
        raise Unavailable(
            f"{what} {problem}. End of {log}:\n{log_tail(log)}",
            remedy="mend what the log complains of and start again.",
        )
