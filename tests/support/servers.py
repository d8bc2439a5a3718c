"""Redis and S3 for tests, from one of two providers: containers, or processes of one's own.

Both run real servers with the same options (`reclens.ops.local.servers`). ``RECLENS_TEST_SERVERS``
chooses: ``docker``, the images of the compose files; ``embedded``, binaries from packages;
``auto`` (default), containers where a Docker daemon answers and has the images, or gets them within
seconds, else the binaries.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

import server_processes as embedded
import yaml

from reclens.errors import InvalidInput, NotReady
from reclens.platform.settings.models import RedisSettings, S3Settings

VARIABLE = "RECLENS_TEST_SERVERS"
_CHOICES = ("auto", "docker", "embedded")
_DEPLOY = Path(__file__).parents[2] / "deploy"
_QUICK_SECONDS = 30.0
_PATIENT_SECONDS = 600.0


class Daemon(Protocol):
    """What the choice asks of Docker. Each answer is empty, or says what is wrong."""

    def problem(self) -> str:
        """Why containers cannot be started."""
        ...

    def obtain(self, image: str, seconds: float) -> str:
        """Why the image is not there, having tried for ``seconds`` to pull it if need be."""
        ...


@dataclass(frozen=True)
class Images:
    """The images of the compose files, which alone name them."""

    redis: str
    s3: str

    @classmethod
    def of_compose(cls, environment: Mapping[str, str], deploy: Path = _DEPLOY) -> Images:
        """Read the files as Compose does: ``${NAME:-default}`` is the variable, where it is set."""
        redis, s3 = (
            re.sub(
                r"\$\{(\w+):-([^}]*)\}",
                lambda found: environment.get(found[1]) or found[2],
                yaml.safe_load((deploy / file).read_text())["services"][name]["image"],
            )
            for name, file in (("redis", "redis/bundled.yaml"), ("s3", "s3/seaweedfs.yaml"))
        )
        return cls(redis, s3)


@dataclass(frozen=True)
class Provider:
    """Who runs the servers, and why."""

    kind: Literal["docker", "embedded"]
    images: Images
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.reason})"


def choose(environment: Mapping[str, str], daemon: Callable[[], Daemon]) -> Provider:
    """The provider that the environment asks for.

    Args:
        environment: variables.
        daemon: connects to Docker; not called where processes are asked for.

    Raises:
        InvalidInput: the variable has no known value.
        NotReady: containers are asked for and cannot be had.
    """
    wanted = environment.get(VARIABLE) or "auto"
    if wanted not in _CHOICES:
        raise InvalidInput(
            f"{wanted!r} is no provider of servers.",
            field=VARIABLE,
            remedy=f"use {', '.join(_CHOICES[:-1])} or {_CHOICES[-1]}.",
        )
    images = Images.of_compose(environment)
    if wanted == "embedded":
        return Provider("embedded", images, f"{VARIABLE}=embedded")
    docker = daemon()
    problem = docker.problem()
    for image in (images.redis, images.s3):
        # The first fault decides: where one image cannot be had, the other is of no use.
        problem = problem or docker.obtain(
            image, _PATIENT_SECONDS if wanted == "docker" else _QUICK_SECONDS
        )
    if not problem:
        return Provider("docker", images, f"{images.redis}, {images.s3}")
    if wanted == "docker":
        raise NotReady(
            f"tests shall run against containers, but {problem}.",
            field=VARIABLE,
            remedy="start Docker and pull the images, or set it to embedded.",
        )
    return Provider("embedded", images, problem)


@cache
def provider() -> Provider:
    """The provider of this run.

    Raises:
        InvalidInput, NotReady: see `choose`.
    """
    from server_containers import connect

    return choose(os.environ, connect)


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisSettings]:
    """A Redis of one's own; stopped on leaving.

    Its data are gone then where it is a container. A test of what a restart keeps takes the server
    of `server_processes`.

    Args:
        folder: for its log, and its data where it is a process.

    Raises:
        Unavailable: it did not start; the message ends with its log.
    """
    chosen = provider()
    if chosen.kind == "docker":
        from server_containers import redis_container

        with redis_container(chosen.images.redis, folder) as settings:
            yield settings
    else:
        with embedded.redis_server(folder) as settings:
            yield settings


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Settings]:
    """An S3 server of one's own; stopped on leaving, and empty after that, as `redis_server`.

    Args:
        folder: for its log, and its data where it is a process.

    Raises:
        Unavailable: it did not start; the message ends with its log.
    """
    chosen = provider()
    if chosen.kind == "docker":
        from server_containers import s3_container

        with s3_container(chosen.images.s3, folder) as settings:
            yield settings
    else:
        with embedded.s3_server(folder) as settings:
            yield settings
