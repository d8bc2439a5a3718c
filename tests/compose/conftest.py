"""Builds the images, starts the system once, and takes everything down. Needs a Docker daemon.

The project, its ports and its volumes are the test's own: a system of one's own may run beside it.
Credentials are made in this checkout's folder for them, as for any user.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from composed_figures import figures
from composed_system import CREDENTIALS, ROOT, Clients, CommandFailed, System, run
from stand_in_images import base_images, package_index

from reclens.adapters.settings import WorkerSettings
from reclens.adapters.sources import obtain
from reclens.local.ports import free_ports

PROJECT = "reclens-test"
# Nobody waits ten minutes here for what a killed worker had in its hands.
VISIBILITY_TIMEOUT_SECONDS = "30"
START_SECONDS = 1500


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MovieLens-100K, so that no test depends on where it is published."""
    folder = tmp_path_factory.mktemp("datasets")
    folder.chmod(0o755)
    for above in list(folder.parents)[:3]:
        above.chmod(above.stat().st_mode | 0o055)
    raw = obtain("ml-100k", ROOT / ".reclens" / "cache", WorkerSettings().data.ml_100k).folder
    (folder / "ml-100k").mkdir(mode=0o755)
    for file in raw.iterdir():
        (folder / "ml-100k" / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture(scope="session")
def prepared(datasets: Path) -> Iterator[System]:
    """The project with its images built, nothing started."""
    try:
        run("docker", "info")
    except (CommandFailed, FileNotFoundError) as error:
        pytest.exit(f"no Docker daemon answers, and this needs one: {error}", returncode=3)
    if any(CREDENTIALS.glob("*/RECLENS_*")) or (CREDENTIALS / "operator.env").exists():
        pytest.exit(
            f"{CREDENTIALS} holds credentials already, which this would use and delete: "
            "run it in a clone of its own.",
            returncode=3,
        )
    names = (
        "REDIS_PORT",
        "S3_PORT",
        "GATEWAY_PORT",
        "FLOWER_PORT",
        "PROMETHEUS_PORT",
        "GRAFANA_PORT",
    )
    ports = {name: str(port) for name, port in zip(names, free_ports(len(names)), strict=True)}
    variables = {
        "COMPOSE_PROJECT_NAME": PROJECT,
        "TAG": "test",
        **ports,
        "DATASETS": str(datasets),
        "VISIBILITY_TIMEOUT_SECONDS": VISIBILITY_TIMEOUT_SECONDS,
        "THREADS": str(min(4, os.cpu_count() or 1)),
    }
    with package_index() as index:
        system = System(variables | index)
        base_images(system)
        began = time.monotonic()
        system.compose("--profile", "monitoring", "build", "--quiet", seconds=3600)
        figures["seconds"] = {"images built": f"{time.monotonic() - began:.0f}"}
        try:
            yield system
        finally:
            system.compose(
                "--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "60"
            )
            _remove_credentials(system)


@pytest.fixture(scope="session")
def system(prepared: System) -> System:
    """The system after its first `docker compose up --wait`: a release is served."""
    began = time.monotonic()
    try:
        prepared.compose("up", "--detach", "--wait", seconds=START_SECONDS)
    except CommandFailed as error:
        logs = prepared.compose("logs", "--tail", "40")
        raise CommandFailed(f"{error}\n{logs}") from error
    figures["seconds"]["first up, MovieLens-100K to a served release"] = (
        f"{time.monotonic() - began:.0f}"
    )
    return prepared


@pytest.fixture
def clients(system: System, tmp_path: Path) -> Clients:
    """Clients of the running system."""
    return Clients.of(system, tmp_path / "cache")


def _remove_credentials(system: System) -> None:
    # Most of them belong to the containers' user.
    script = "find /credentials -mindepth 1 ! -name .gitignore ! -name README.md -delete"
    mount = f"{CREDENTIALS}:/credentials"
    image = f"reclens/labeler:{system.variables['TAG']}"
    run(
        "docker",
        "run",
        "--rm",
        "--user",
        "0:0",
        "--volume",
        mount,
        "--entrypoint",
        "sh",
        image,
        "-c",
        script,
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    for title, rows in figures.items():
        terminalreporter.section(title)
        for name, value in rows.items():
            terminalreporter.write_line(f"{name:<48} {value:>20}")
