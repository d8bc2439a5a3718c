"""Redis and SeaweedFS in containers, hardened as the compose files run them.

They run without root and capabilities, on a read-only file system; data lie in memory and are gone
with the container.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from reclens.ops.local.health import redis_answers, s3_answers, wait_until
from reclens.ops.local.servers import LOOPBACK, redis_arguments, s3_arguments
from reclens.platform.settings.models import RedisSettings, S3Settings

if TYPE_CHECKING:
    from servers import Daemon
    from testcontainers.core.container import DockerContainer

# Its reaper is one more image to pull, with the daemon's socket in its hands. Every server here is
# removed on leaving; what a killed run leaves has the label `org.testcontainers`.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

_REDIS_PORT = 6379
# SeaweedFS' own, with room for gRPC 10,000 above each.
_S3_PORTS = {"s3": 8333, "master": 9333, "volume": 9340, "filer": 8888, "admin": 23646}
_DATA = Path("/data")
_EVERYWHERE = "0.0.0.0"
_USER = 10001
_START_SECONDS = 60.0
_ANSWER_SECONDS = 10


class NoDocker:
    """Stands for a daemon that cannot be reached.

    Args:
        why: in words.
    """

    def __init__(self, why: str) -> None:
        self._why = why

    def problem(self) -> str:
        """Why."""
        return self._why

    def obtain(self, image: str, seconds: float) -> str:
        """Why."""
        return self._why


class RunningDocker:
    """A daemon that answers."""

    def __init__(self) -> None:
        from testcontainers.core.docker_client import DockerClient

        # The patience is also that with each piece of an image.
        self._client = DockerClient(timeout=_ANSWER_SECONDS).client
        self._client.ping()

    def problem(self) -> str:
        """Nothing: it has answered."""
        return ""

    def obtain(self, image: str, seconds: float) -> str:
        """Pull ``image`` unless it is there; why it is not there after ``seconds``."""
        import requests
        from docker.errors import DockerException, ImageNotFound
        from docker.utils import parse_repository_tag

        deadline = time.monotonic() + seconds
        try:
            self._client.images.get(image)
        except ImageNotFound:
            pass
        else:
            return ""
        repository, tag = parse_repository_tag(image)
        try:
            pieces = self._client.api.pull(repository, tag or "latest", stream=True, decode=True)
            for piece in pieces:
                if "error" in piece:
                    return f"{image} cannot be pulled: {piece['error']}"
                if time.monotonic() > deadline:
                    return f"{image} is not pulled within {seconds:.0f} s"
        except (DockerException, requests.exceptions.RequestException) as error:
            return f"{image} cannot be pulled: {error}"
        return ""


def connect() -> Daemon:
    """The daemon that the environment names, or what stands for none."""
    try:
        import requests
        from docker.errors import DockerException
    except ImportError:
        return NoDocker("testcontainers is not installed")
    try:
        return RunningDocker()
    except ImportError:
        return NoDocker("testcontainers is not installed")
    except (DockerException, requests.exceptions.RequestException):
        return NoDocker("no Docker daemon answers")


@contextmanager
def redis_container(image: str, folder: Path) -> Iterator[RedisSettings]:
    """A Redis of ``image``; its log goes to ``folder``.

    Raises:
        Unavailable: it did not start; the message ends with its log.
    """
    command = ["redis-server", *redis_arguments(_REDIS_PORT, _DATA, listen=_EVERYWHERE)]

    def settings(address: str) -> RedisSettings:
        return RedisSettings(url=SecretStr(f"redis://{address}/0"))

    container = _container(image, command, {}, _REDIS_PORT)
    log = folder / "redis.log"
    with _running(container, _REDIS_PORT, log, lambda at: redis_answers(settings(at))) as address:
        yield settings(address)


@contextmanager
def s3_container(image: str, folder: Path) -> Iterator[S3Settings]:
    """A SeaweedFS of ``image`` with random credentials; its log goes to ``folder``.

    Raises:
        Unavailable: it did not start; the message ends with its log.
    """
    access, secret = secrets.token_hex(10).upper(), secrets.token_urlsafe(30)
    keys = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
    command = s3_arguments(_S3_PORTS, _DATA, None, listen=_EVERYWHERE)

    def settings(address: str) -> S3Settings:
        return S3Settings(
            endpoint=address, access_key=SecretStr(access), secret_key=SecretStr(secret)
        )

    port = _S3_PORTS["s3"]
    container = _container(image, command, keys, port)
    log = folder / "s3.log"
    with _running(container, port, log, lambda at: s3_answers(settings(at))) as address:
        yield settings(address)


def _container(
    image: str, command: list[str], environment: dict[str, str], port: int
) -> DockerContainer:
    from testcontainers.core.config import ConnectionMode
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image).with_command(command).with_envs(**environment)
    container.with_exposed_ports(port)
    client = container.get_docker_client()
    if client.get_connection_mode() is ConnectionMode.docker_host and client.host() == "localhost":
        # On this machine: nobody else is to find servers without a password. Typed for a bare
        # port, but handed as it is to docker, which takes an interface and any free port of it.
        container.ports[str(port)] = (LOOPBACK, None)  # pyright: ignore[reportArgumentType]
    for writable in (str(_DATA), "/tmp"):
        # Else it has the owner of the image's folder of that name.
        container.tmpfs[writable] = f"uid={_USER},gid={_USER},mode=0700"
    return container.with_kwargs(
        user=f"{_USER}:{_USER}",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )


@contextmanager
def _running(
    container: DockerContainer, port: int, log: Path, answers: Callable[[str], bool]
) -> Iterator[str]:
    folder = log.parent
    folder.mkdir(parents=True, exist_ok=True)

    def alive() -> bool:
        container.reload()
        log.write_bytes(container.get_wrapped_container().logs())
        return container.status == "running"

    with container:
        address = ""

        def reached() -> bool:
            nonlocal address
            host = container.get_container_host_ip()
            try:
                port_outside = container.get_exposed_port(port)
            except TimeoutError:
                # It has died since it was looked at.
                return False
            # `localhost` may be ::1, where nothing is published.
            address = f"{LOOPBACK if host == 'localhost' else host}:{port_outside}"
            return answers(address)

        wait_until(reached, alive=alive, what=log.stem, log=log, timeout_seconds=_START_SECONDS)
        try:
            yield address
        finally:
            log.write_bytes(container.get_wrapped_container().logs())
