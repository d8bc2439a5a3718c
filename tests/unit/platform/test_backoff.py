"""Waits worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reclens.platform.backoff import backoff_seconds, retry_after_seconds

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def test_waits_double_up_to_half_a_minute():
    assert [backoff_seconds(n, jitter=0.0) for n in range(7)] == [0.5, 1, 2, 4, 8, 15, 15]
    assert [backoff_seconds(n, jitter=0.5) for n in range(7)] == [0.75, 1.5, 3, 6, 12, 22.5, 22.5]
    assert backoff_seconds(1000, jitter=0.999999) < 30


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("17", 17),
        (" 17 ", 17),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 11:59:00 GMT", 0),
        ("Tuesday, 24-Nov-26 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 13:00:30 +0100", 30),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("nan", None),
        ("²", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value: str | None, seconds: float | None):
    assert retry_after_seconds(value, NOW) == seconds


def test_an_absurd_number_of_seconds_is_a_long_time():
    assert (retry_after_seconds("9" * 5000, NOW) or 0) > 1e8
