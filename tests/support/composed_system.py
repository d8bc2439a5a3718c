"""The system in containers, and the ways to it, for tests: thin over `docker compose`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery

from reclens.client import SteeringClient
from reclens.platform.jobs.log import JobLog
from reclens.platform.settings.models import ClientSettings
from reclens.platform.store.artifacts import ArtifactStore

ROOT = Path(__file__).parents[2]
APPLICATIONS = ("recommender-worker", "trainer", "labeler", "inference", "gateway")
"""Services of RecLens itself that go on running."""


class CommandFailed(AssertionError):
    """A command of docker ended with an error; the message ends with what it said."""


@dataclass(frozen=True)
class System:
    """One compose project.

    Attributes:
        variables: what the compose files are given, ports included.
    """

    variables: Mapping[str, str]

    @property
    def credentials(self) -> Path:
        """The folder that `credentials` fills."""
        return Path(self.variables["CREDENTIALS"])

    def secret(self, part: str, name: str) -> str:
        """One value of one part."""
        return (self.credentials / part / name).read_text()

    def compose(self, *arguments: str, seconds: float = 1200) -> str:
        """Run ``docker compose ...`` and return what it printed.

        Raises:
            CommandFailed: it ended with an error.
        """
        return run("docker", "compose", *arguments, environment=self.variables, seconds=seconds)

    def container(self, service: str) -> str:
        """Id of the service's container, running or not."""
        return self.compose("ps", "--all", "--quiet", service).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        """What docker knows of the service's container."""
        return json.loads(run("docker", "inspect", self.container(service)))[0]

    def health(self, service: str) -> str:
        """``starting``, ``healthy`` or ``unhealthy``."""
        return self.inspect(service)["State"]["Health"]["Status"]

    def healthy(self) -> list[str]:
        """Services that are healthy now."""
        project = f"label=com.docker.compose.project={self.variables['COMPOSE_PROJECT_NAME']}"
        service = '{{.Label "com.docker.compose.service"}}'
        found = ("--filter", project, "--filter", "health=healthy", "--format", service)
        return run("docker", "ps", *found).split()

    def shell(self, service: str, script: str) -> str:
        """Run a shell script in the service's container as the service's own user."""
        return self.compose("exec", "-T", service, "sh", "-c", script)

    # --- as its user -----------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """What ``. deploy/credentials/operator.env`` sets."""
        script = f". {self.credentials}/operator.env && env -0"
        printed = subprocess.run(
            ["env", "-i", "sh", "-c", script], capture_output=True, text=True, check=True
        ).stdout
        pairs = (line.partition("=") for line in printed.split("\0") if line)
        return {name: value for name, _, value in pairs if name.startswith("RECLENS_")}

    def settings(self, cache_dir: Path) -> ClientSettings:
        """Settings of a client on this machine."""
        environment = self.environment() | {"RECLENS_CACHE_DIR": str(cache_dir)}
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            return ClientSettings()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def cli(self, *arguments: str, seconds: float = 120) -> str:
        """Run the command line as a user does, and return what it printed.

        Raises:
            CommandFailed: it ended with an error.
        """
        command = str(Path(sys.executable).parent / "reclens")
        return run(command, *arguments, environment=self.environment(), seconds=seconds)


@dataclass(frozen=True)
class Clients:
    """Clients of a running system, made as a product makes them."""

    celery: Celery
    joblog: JobLog
    store: ArtifactStore
    gateway: str
    """``host:port`` of SteeringService."""
    token: str
    """Of the operator."""

    @classmethod
    def of(cls, system: System, cache_dir: Path) -> Clients:
        settings = system.settings(cache_dir)
        url = settings.redis.url.get_secret_value()
        return cls(
            celery=Celery(broker=url, backend=url),
            joblog=JobLog(settings.redis),
            store=ArtifactStore.from_settings(settings),
            gateway=settings.client.target,
            token=settings.client.token.get_secret_value() if settings.client.token else "",
        )

    def recommend(self, user: str = "7", **options: Any) -> Any:
        """Ask the gateway."""
        with SteeringClient(self.gateway, token=self.token) as client:
            return client.recommend(user_id=user, **options)


def run(
    *command: str,
    environment: Mapping[str, str] | None = None,
    seconds: float = 120,
    cwd: Path = ROOT,
) -> str:
    """Run a command and return its standard output.

    Raises:
        CommandFailed: it ended with an error.
    """
    done = subprocess.run(
        command,
        env=os.environ | dict(environment or {}),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-4000:]
        raise CommandFailed(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
    return done.stdout


def until(seconds: float, what: str, pause: float = 0.2) -> Iterator[None]:
    """Yield again and again, for at most ``seconds``.

    Raises:
        AssertionError: the time is over.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")
