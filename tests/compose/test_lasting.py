"""What is there after the system has been down, and what comes back from a backup."""

from __future__ import annotations

import re
from pathlib import Path

from composed_figures import figures, start
from composed_system import APPLICATIONS, ROOT, Clients, System, run
from documented import examples

KILLED = 137


def committed(clients: Clients) -> dict[str, str]:
    """All artifacts and when they were made."""
    return {one.artifact: one.created_at for one in clients.store.list()}


def items(clients: Clients) -> list[tuple[str, float]]:
    """An answer of the gateway."""
    return [(item.item_id, item.score) for item in clients.recommend().items]


def test_down_and_up_loses_nothing_and_computes_nothing(
    system: System, clients: Clients, tmp_path: Path
):
    before, answer = committed(clients), items(clients)
    jobs = [job.id for job in clients.joblog.list()]
    system.compose("stop")
    killed = {
        service
        for service in ("redis", "s3", *APPLICATIONS)
        if system.inspect(service)["State"]["ExitCode"] == KILLED
    }
    assert not killed, "their grace was over"
    system.compose("down")
    figures["up again: healthy after"] = start(system)
    clients = Clients.of(system, tmp_path / "again")
    assert committed(clients) == before
    assert items(clients) == answer
    assert [job.id for job in clients.joblog.list()] == jobs
    assert "default" in system.compose("logs", "--no-log-prefix", "init").splitlines()[-1]


def test_a_change_of_code_leaves_the_layers_of_dependencies_alone(system: System):
    before = layers("reclens/gateway:test")
    changed = ROOT / "services" / "gateway" / "src" / "reclens_gateway" / "main.py"
    code = changed.read_bytes()
    try:
        changed.write_bytes(code + b"# changed\n")
        system.compose("build", "gateway", seconds=600)
    finally:
        changed.write_bytes(code)
    after = layers("reclens/gateway:test")
    assert len(after) == len(before)
    assert len(set(after) - set(before)) == 1
    system.compose("build", "gateway", seconds=600)


def layers(image: str) -> list[str]:
    """Digests of an image's layers."""
    printed = run("docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", image)
    return re.findall(r"sha256:\w+", printed)


def test_backup_and_restore_by_the_commands_of_the_documentation(
    system: System, clients: Clients, tmp_path: Path
):
    before, answer = committed(clients), items(clients)
    backup, restore = examples("docs/how-to/deploy.md", "sh", r"^# (?:Backup|Restore)$")
    environment = {**system.variables, "BACKUP": str(tmp_path)}
    run("bash", "-euo", "pipefail", "-c", backup, environment=environment, seconds=300)
    system.compose("down", "--volumes")
    run("bash", "-euo", "pipefail", "-c", restore, environment=environment, seconds=600)
    again = Clients.of(system, tmp_path / "again")
    assert committed(again) == before
    assert items(again) == answer
