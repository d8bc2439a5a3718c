"""The whole local stack: up, found, repaired, down. One stack, tests in the order of its life."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from reclens.ops.local.health import redis_answers, s3_answers
from reclens.ops.local.processes import owner_of
from reclens.ops.local.stack import LocalStack
from reclens.ops.local.state import StateFolder
from reclens.platform.grpc.health_probe import grpc_status

PARTS = {"redis", "s3", "capture", "train", "label", "inference", "gateway"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    local = LocalStack(StateFolder(tmp_path_factory.mktemp("stack") / "state"))
    local.up(lambda _line: None)
    try:
        yield local
    finally:
        local.down(lambda _line: None)


def _pids(stack: LocalStack) -> dict[str, int]:
    return {part.name: part.pid or 0 for part in stack.status()}


def _family(stack: LocalStack) -> list[psutil.Process]:
    supervisor = owner_of(stack.state.pids / "supervisord.pid")
    assert supervisor is not None
    return [supervisor, *supervisor.children(recursive=True)]


def test_every_part_answers_at_the_published_address(stack: LocalStack):
    assert {part.name for part in stack.status() if part.healthy} == PARTS
    settings, endpoints = stack.state.settings(), stack.state.endpoints()
    assert redis_answers(settings.redis)
    assert s3_answers(settings.s3)
    # Nothing is released yet: reachable, and honest about it.
    assert grpc_status(endpoints["gateway"]) == "NOT_SERVING"
    assert grpc_status(endpoints["inference"]) == "NOT_SERVING"


def test_nothing_is_bound_outside_the_loopback_interface(stack: LocalStack):
    listening = [
        connection.laddr.ip
        for process in _family(stack)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4
    assert set(listening) <= {"127.0.0.1", "::ffff:127.0.0.1"}


def test_up_again_finds_all_running_and_starts_nothing(stack: LocalStack):
    before, said = _pids(stack), []
    stack.up(said.append)
    assert _pids(stack) == before
    assert "was up already" in said[-1]


def test_a_worker_that_is_killed_comes_back(stack: LocalStack):
    before = _pids(stack)
    os.kill(before["label"], signal.SIGKILL)
    stack.up(lambda _line: None)
    after = _pids(stack)
    assert after["label"] not in {0, before["label"]}
    assert {part.name for part in stack.status() if part.healthy} == PARTS


def test_a_stack_whose_supervisor_was_killed_is_repaired_on_the_same_ports(stack: LocalStack):
    endpoints, orphans = stack.state.endpoints(), _family(stack)[1:]
    supervisor = owner_of(stack.state.pids / "supervisord.pid")
    assert supervisor is not None
    supervisor.kill()
    supervisor.wait(10)
    assert stack.status() == []
    stack.up(lambda _line: None)
    assert stack.state.endpoints() == endpoints
    assert not [orphan for orphan in orphans if orphan.is_running()]
    assert {part.name for part in stack.status() if part.healthy} == PARTS


def test_down_leaves_no_process_and_keeps_the_data(stack: LocalStack):
    family = _family(stack)
    assert stack.down(lambda _line: None)
    assert not [process for process in family if process.is_running()]
    assert not stack.state.endpoints_file.exists()
    assert any(stack.state.s3_data.iterdir())
    assert not stack.down(lambda _line: None)


def test_a_part_that_cannot_start_fails_with_its_log_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    broken = LocalStack(StateFolder(tmp_path / "state"))
    # A value that every worker's settings refuse.
    monkeypatch.setenv("RECLENS_SEGMENT_SECONDS", "-1")
    with pytest.raises(Exception, match="segment_seconds") as failed:
        broken.up(lambda _line: None)
    assert "does not stay up" in str(failed.value)
    assert not broken.running()
    assert list(broken.state.pids.glob("*.pid")) == []
