"""The state folder: private, stable, honest about what it knows."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from reclens.errors import NotReady
from reclens.ops.local.state import StateFolder


def _prepared(root: Path) -> StateFolder:
    state = StateFolder(root)
    state.prepare()
    state.choose_ports()
    return state


def test_without_a_stack_there_are_no_settings(tmp_path: Path):
    with pytest.raises(NotReady, match="reclens up"):
        StateFolder(tmp_path / "state").settings()


def test_ports_and_credentials_stay_over_restarts(tmp_path: Path):
    first = _prepared(tmp_path / "state")
    ports, settings = first.ports(), first.settings()
    second = _prepared(tmp_path / "state")
    assert second.ports() == ports
    assert second.settings().s3 == settings.s3


def test_endpoints_have_no_secret_and_everything_else_is_private(tmp_path: Path):
    state = _prepared(tmp_path / "state")
    published = state.publish()
    text = state.endpoints_file.read_text()
    assert json.loads(text) == published
    assert set(published) == {"redis", "s3", "gateway", "inference"}
    assert state.settings().s3.secret_key.get_secret_value() not in text
    assert stat.S_IMODE(state.root.stat().st_mode) == 0o700
    for private in (state.environment_file, state.s3_identity):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_the_environment_file_is_understood_by_a_shell(tmp_path: Path):
    state = _prepared(tmp_path / "folder with spaces")
    state.publish()
    script = '. "$1" && printf "%s\\n" "$RECLENS_S3__SECRET_KEY" "$RECLENS_CACHE_DIR"'
    answer = subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(state.environment_file)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    secret, cache = answer.stdout.splitlines()
    assert secret == state.settings().s3.secret_key.get_secret_value()
    assert cache == str(state.root / "cache")


def test_settings_of_the_stack_win_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RECLENS_REDIS__URL", "redis://elsewhere:1/0")
    monkeypatch.setenv("RECLENS_S3__ENDPOINT", "elsewhere:2")
    settings = _prepared(tmp_path / "state").settings()
    assert settings.redis.url.get_secret_value().startswith("redis://127.0.0.1:")
    assert settings.s3.endpoint.startswith("127.0.0.1:")


def test_the_socket_of_a_deep_folder_lies_where_the_kernel_allows_it(tmp_path: Path):
    state = StateFolder(tmp_path / ("deep" * 30))
    state.prepare()
    assert len(os.fsencode(state.socket)) < 100
    assert state.socket == StateFolder(state.root).socket
    assert stat.S_IMODE(state.socket.parent.stat().st_mode) == 0o700
    state.socket.parent.rmdir()


def test_the_folder_is_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECLENS_STATE_DIR", raising=False)
    assert StateFolder.default().root == tmp_path / ".reclens"
    monkeypatch.setenv("RECLENS_STATE_DIR", str(tmp_path / "other"))
    assert StateFolder.default().root == tmp_path / "other"
