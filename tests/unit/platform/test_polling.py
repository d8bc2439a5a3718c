"""Asking until it is so."""

from __future__ import annotations

import pytest

from reclens.platform import polling
from reclens.platform.polling import poll_until


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(polling, "time", clock)
    return clock


@pytest.mark.parametrize(("answers", "naps"), [([True], 0), ([False, True], 1)])
def test_it_ends_with_the_first_yes(clock: Clock, answers: list[bool], naps: int) -> None:
    assert poll_until(lambda: answers.pop(0), seconds=10, every=3)
    assert clock.slept == [3] * naps
    assert answers == []


def test_it_asks_once_more_when_time_is_up_and_then_no_more(clock: Clock) -> None:
    asked: list[float] = []

    def never() -> bool:
        asked.append(clock.now)
        return False

    assert not poll_until(never, seconds=10, every=4)
    assert asked == [100, 104, 108, 112]
    asked.clear()
    assert not poll_until(never, seconds=-1, every=4)
    assert asked == [112]
