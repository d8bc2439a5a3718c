"""Which errors of Redis pass: it is away, starts, fails over, is full or cannot write just now.

A job that meets one waits, as for any part that is away; only what is wrong with a command fails.
"""

from __future__ import annotations

import re

from kombu.exceptions import ChannelError, OperationalError
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from reclens.errors import StoreUnavailable

REFUSALS: tuple[type[Exception], ...] = (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
"""What Redis answers instead of doing what it otherwise would, beside `AWAY`."""
AWAY: tuple[type[Exception], ...] = (RedisConnectionError, RedisTimeoutError, BusyLoadingError)
"""It does not answer, or not yet."""

# Answers that the client has no class for, alone or as it tells of one command of several.
_PASSING = re.compile(r"(^|caused error: )(BUSY|MISCONF|NOREPLICAS|UNBLOCKED|OOM|READONLY)\b")


def outage_of(error: BaseException | None) -> StoreUnavailable | None:
    """The outage that an error of Redis, or of Celery's transport to it, tells of; None where
    waiting does not help."""
    if isinstance(error, StoreUnavailable):
        return error
    if isinstance(error, (OperationalError, ChannelError)):
        # Kombu wraps what it met. What it gave up on by itself was a connection.
        if outage_of(error.__cause__) is None and isinstance(error, ChannelError):
            return None
    elif isinstance(error, ResponseError):
        if not isinstance(error, REFUSALS) and not _PASSING.search(str(error)):
            return None
    elif not isinstance(error, AWAY):
        return None
    return StoreUnavailable(
        f"Redis does not answer ({error}).",
        field="redis.url",
        remedy="check that it runs (`reclens status`), has memory left and can be written to, "
        "and RECLENS_REDIS__URL.",
    )
