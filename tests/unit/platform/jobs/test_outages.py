"""Which errors of Redis a job waits for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.exceptions import ChannelError, OperationalError
from redis import Redis
from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    NoScriptError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from servers import redis_server

from reclens.platform.jobs.outages import outage_of


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """Of one's own, for its settings are changed."""
    with redis_server(tmp_path / "redis") as settings:
        yield Redis.from_url(settings.url.get_secret_value())


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("refused"),
        RedisTimeoutError("slow"),
        BusyLoadingError("Redis is loading the dataset in memory"),
        MasterDownError("Link with MASTER is down"),
        NoScriptError("No matching script"),
        ResponseError("BUSY Redis is busy running a script"),
        ResponseError("MISCONF Redis is configured to save RDB snapshots, but cannot"),
        ResponseError("Command # 1 (HSET a b) of pipeline caused error: NOREPLICAS Not enough"),
        OperationalError("refused"),
    ],
)
def test_what_passes_is_waited_for(error: Exception):
    outage = outage_of(error)
    assert outage is not None
    assert outage.long_outage


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        ResponseError("ERR unknown command, with OOM in its arguments"),
        ChannelError("no such queue"),
        ValueError("LOADING"),
    ],
)
def test_what_is_wrong_with_a_command_is_not(error: Exception):
    assert outage_of(error) is None


def test_what_a_real_server_says_when_it_is_full_or_read_only(redis: Redis):
    def refusal() -> RedisError:
        pipe = redis.pipeline(transaction=True).hset("key", "field", "value")
        with pytest.raises(RedisError) as caught:
            pipe.execute()
        with pytest.raises(RedisError) as alone:
            redis.set("key", "value")
        assert outage_of(alone.value) is not None
        return caught.value

    redis.config_set("maxmemory", 1)
    assert outage_of(refusal()) is not None
    redis.config_set("maxmemory", 0)
    redis.config_set("min-replicas-to-write", 1)
    assert outage_of(refusal()) is not None
    redis.config_set("min-replicas-to-write", 0)
    redis.replicaof("127.0.0.1", 1)
    assert outage_of(refusal()) is not None
    redis.replicaof("no", "one")
    redis.hset("key", "field", "value")
    with pytest.raises(ResponseError) as caught:
        redis.incr("key")
    assert outage_of(caught.value) is None
