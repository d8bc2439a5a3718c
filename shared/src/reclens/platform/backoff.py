"""How long to wait before asking an overloaded server again."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 1.0
"""Longest wait after the first failed attempt; it doubles with each further one."""
LONGEST_SECONDS = 30.0
"""Longest wait that is our own choice."""


def backoff_seconds(
    attempt: int, *, longest: float = LONGEST_SECONDS, jitter: float | None = None
) -> float:
    """Wait after failed attempt ``attempt`` (from 0): between half and all of 1, 2, 4, ... s.

    Args:
        attempt: how many failed before this one.
        longest: seconds at most.
        jitter: from [0, 1), so that those who failed together do not return together. None: drawn
            here.
    """
    # 2^1000 s are long enough, and 2^1024 is no float.
    ceiling = min(longest, FIRST_SECONDS * 2.0 ** min(attempt, 1000))
    return ceiling * (1 + (random.random() if jitter is None else jitter)) / 2


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header asks for: a number of them, or a date (RFC 9110).

    A date that has passed asks for 0; what is neither is ignored.

    Args:
        value: of the header.
        now: aware.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])  # Anything longer is years all the same.
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())
