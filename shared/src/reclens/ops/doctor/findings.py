"""What a check has found, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from redis.exceptions import NoPermissionError, RedisError

from reclens.errors import RecLensError, StoreRefused


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    """As it should be."""
    UNKNOWN = "unknown"
    """It could not be looked at from here."""
    WARNING = "warning"
    """It works, and should be seen to."""
    ERROR = "error"
    """Something does not work, or may lose something."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    part: str
    """``redis``, ``store``, ``workers``, ..."""
    level: Level
    """How bad it is."""
    message: str
    """What was seen, in one sentence."""
    remedy: str = ""
    """What to do about it; empty where nothing is to be done."""


Check = Callable[[], Iterator[Finding]]
"""Looks at one part. What it raises is a finding too, see `examine`."""


def examine(part: str, check: Check) -> Iterator[Finding]:
    """What the check finds; an error that it ends with is the last finding.

    Args:
        part: what such an error is told of.
        check: to be run.
    """
    try:
        yield from check()
    except (NoPermissionError, StoreRefused) as error:
        yield Finding(
            part, Level.UNKNOWN, f"this account may not look ({error}).", "look with another."
        )
    except RecLensError as error:
        yield Finding(part, Level.ERROR, error.message, error.remedy)
    except RedisError as error:
        yield Finding(
            part,
            Level.ERROR,
            f"Redis does not answer ({error}).",
            "see whether it runs, its log, and RECLENS_REDIS__URL.",
        )
    except Exception as error:  # noqa: BLE001 - what the other checks find is told all the same
        yield Finding(
            part, Level.ERROR, f"this check failed by itself ({error!r}).", "report it, as a bug."
        )


def ok(part: str, message: str) -> Finding:
    """A finding that all is well."""
    return Finding(part, Level.OK, message)
