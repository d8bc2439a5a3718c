"""A job is accepted once Redis has it on its disk, where Redis can tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ResponseError

from reclens.errors import StoreUnavailable
from reclens.platform.jobs import log
from reclens.platform.jobs.log import JobLog
from reclens.platform.settings.models import RedisSettings


class FakeRedis:
    """Takes every command; the last two of a submission are answered as given."""

    def __init__(self, kept: Any, synced: Any) -> None:
        self.answers = [kept, synced]
        self.commands: list[tuple[object, ...]] = []

    def pipeline(self, transaction: bool) -> FakeRedis:
        return self

    def __enter__(self) -> FakeRedis:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        return self.answers

    def execute_command(self, *command: object) -> None:
        self.commands.append(command)

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_options: self.commands.append((name,))


def submit(monkeypatch: pytest.MonkeyPatch, kept: Any, synced: Any) -> FakeRedis:
    redis = FakeRedis(kept, synced)
    monkeypatch.setattr(log, "connect", lambda _settings: redis)
    sent = SimpleNamespace(send_task=lambda *_, **__: redis.commands.append(("sent",)))
    JobLog(RedisSettings(), sent).submit("a.task.v1", {})  # type: ignore[arg-type]
    return redis


def test_the_disk_is_waited_for_after_the_message_was_sent(monkeypatch: pytest.MonkeyPatch):
    redis = submit(monkeypatch, True, [1, 0])
    sent = redis.commands.index(("sent",))
    # WAITAOF waits for what its own connection wrote: something must be written after the message.
    assert [command[0] for command in redis.commands[sent + 1 :]] == ["expire", "WAITAOF"]


@pytest.mark.parametrize(
    "answer",
    [
        ResponseError("unknown command 'WAITAOF', with args beginning with: '1' '0' '10000'"),
        ResponseError("WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
        NoPermissionError("this user has no permissions to run the 'waitaof' command"),
    ],
)
def test_a_redis_that_cannot_tell_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, answer: ResponseError
):
    submit(monkeypatch, True, answer)


@pytest.mark.parametrize(
    ("kept", "synced"),
    [
        (True, [0, 0]),
        (False, [1, 0]),
        (True, ResponseError("UNBLOCKED force unblock from blocking operation")),
        (RedisConnectionError("gone"), [1, 0]),
    ],
    ids=["the disk is too slow", "it has forgotten the job", "it fails over", "it is away"],
)
def test_a_job_that_is_not_on_the_disk_is_not_accepted(
    monkeypatch: pytest.MonkeyPatch, kept: Any, synced: Any
):
    with pytest.raises(StoreUnavailable):
        submit(monkeypatch, kept, synced)
