"""The gateway behind TLS, with tokens, by the commands of the documentation."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from composed_system import ROOT, CommandFailed, System, run
from documented import examples

from reclens.client import SteeringClient
from reclens.errors import Unauthenticated


@pytest.fixture
def behind_tls(system: System, tmp_path: Path) -> Iterator[System]:
    """The system with its gateway as the documentation's override has it."""
    (issue,) = examples("docs/how-to/operations.md", where=r"^issue\(\)")
    (commands,) = examples("docs/how-to/deploy.md", where="^# TLS$")
    (override,) = examples("docs/how-to/deploy.md", where="TLS__CERTIFICATE: ")
    script = (issue + commands).replace("deploy/credentials", str(system.credentials))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run("bash", "-euc", script, environment={"PATH": path}, cwd=tmp_path)
    file = tmp_path / "docker-compose.override.yml"
    file.write_text(override)
    files = {"COMPOSE_FILE": f"{ROOT / 'docker-compose.yml'}:{file}"}
    changed = replace(system, variables={**system.variables, **files})
    changed.compose("up", "--detach", "--wait", "gateway")
    yield changed
    system.compose("up", "--detach", "--wait", "gateway")


def test_the_gateway_is_healthy_and_answers_those_with_a_token_alone(
    behind_tls: System, tmp_path: Path
):
    assert behind_tls.health("gateway") == "healthy"
    target = f"127.0.0.1:{behind_tls.variables['GATEWAY_PORT']}"
    token = behind_tls.secret("operator", "RECLENS_CLIENT__TOKEN").strip()
    with SteeringClient(target, ca=tmp_path / "ca.pem", token=token) as client:
        assert len(client.recommend(user_id="7").items) == 10
    with (
        SteeringClient(target, ca=tmp_path / "ca.pem") as client,
        pytest.raises(Unauthenticated),
    ):
        client.recommend(user_id="7")


def test_the_command_line_in_a_container_finds_certificate_and_token(behind_tls: System):
    tool = ("--profile", "tools", "run", "--rm", "-T", "cli")
    printed = behind_tls.compose(*tool, "recommend", "--user", "7")
    assert len(printed.splitlines()) > 10
    (behind_tls.credentials / "operator" / "RECLENS_CLIENT__TOKEN").write_text("reclens_wrong")
    with pytest.raises(CommandFailed, match="token"):
        behind_tls.compose(*tool, "recommend", "--user", "7")
