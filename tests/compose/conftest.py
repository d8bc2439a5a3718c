"""Builds the images, starts the system once, and takes everything down. Needs a Docker daemon.

The project, its ports, volumes and credentials are the test's own: a system of one's own may run
beside it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from composed_figures import figures, note_memory, note_sizes, start
from composed_system import ROOT, Clients, CommandFailed, System, run
from stand_in_images import base_images, package_index

from reclens.ops.local.servers import free_ports
from reclens.platform.datasets.obtain import obtain
from reclens.platform.settings.models import WorkerSettings

PROJECT = "reclens-test"


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MovieLens-100K, so that no test depends on where it is published."""
    folder = tmp_path_factory.mktemp("datasets")
    folder.chmod(0o755)
    raw = obtain(
        "ml-100k", ROOT / ".reclens" / "cache", WorkerSettings().data.folder("ml-100k")
    ).folder
    (folder / "ml-100k").mkdir(mode=0o755)
    for file in raw.iterdir():
        (folder / "ml-100k" / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture(scope="session")
def prepared(datasets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The project with its images built, nothing started."""
    try:
        run("docker", "version")
    except (CommandFailed, FileNotFoundError) as error:
        said = str(error).strip().splitlines()[-1]
        pytest.exit(f"no Docker daemon answers, and this needs one: {said}", returncode=3)
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
        "CREDENTIALS": str(tmp_path_factory.mktemp("credentials")),
        "THREADS": str(min(4, os.cpu_count() or 1)),
    }
    with package_index() as index:
        system = System(variables | index)
        base_images(system)
        began = time.monotonic()
        system.compose("--profile", "monitoring", "build", "--quiet", seconds=3600)
        figures["images"] = {"built in": f"{time.monotonic() - began:.0f} s"}
        try:
            yield system
        finally:
            system.compose(
                "--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "60"
            )


@pytest.fixture(scope="session")
def system(prepared: System) -> System:
    """The system after its first `docker compose up --wait`: a release is served."""
    try:
        figures["first up, MovieLens-100K to a served release: healthy after"] = start(prepared)
    except CommandFailed as error:
        logs = prepared.compose("logs", "--tail", "40")
        raise CommandFailed(f"{error}\n{logs}") from error
    note_sizes(prepared)
    note_memory(prepared)
    return prepared


@pytest.fixture
def clients(system: System, tmp_path: Path) -> Clients:
    """Clients of the running system."""
    return Clients.of(system, tmp_path / "cache")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    for title, rows in figures.items():
        terminalreporter.section(title)
        for name, value in rows.items():
            terminalreporter.write_line(f"{name:<48} {value:>20}")
