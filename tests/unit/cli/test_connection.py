"""Where commands find the system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reclens.cli.connection import client_settings
from reclens.ops.local.state import StateFolder


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("RECLENS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RECLENS_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def stack(tmp_path: Path) -> StateFolder:
    state = StateFolder(tmp_path / "state")
    state.prepare()
    state.choose_ports()
    state.publish()
    return state


def test_without_stack_and_environment_the_defaults_hold():
    assert client_settings().client.target == "127.0.0.1:50051"


def test_the_local_stack_is_found(stack: StateFolder):
    assert client_settings() == stack.settings()


def test_a_section_of_the_environment_replaces_the_stack_s_whole_section(
    stack: StateFolder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RECLENS_S3__ENDPOINT", "elsewhere:9000")
    found = client_settings()
    assert found.s3.endpoint == "elsewhere:9000"
    # The stack's secret must not be sent to another server.
    assert found.s3.secret_key.get_secret_value() == ""
    assert found.redis == stack.settings().redis


def test_a_stack_that_was_stopped_is_not_used(stack: StateFolder):
    stack.unpublish()
    assert client_settings().client.target == "127.0.0.1:50051"
