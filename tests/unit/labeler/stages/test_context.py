"""What is made once and shared by threads."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from reclens_labeler.stages.context import ExpiringCache


def test_threads_that_want_the_same_wait_for_the_one_making_it():
    kept: ExpiringCache[object] = ExpiringCache(2)
    made: list[object] = []
    begun, go = threading.Event(), threading.Event()

    def make() -> object:
        begun.set()
        assert go.wait(10)
        made.append(object())
        return made[-1]

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(kept.get, "a", make)
        assert begun.wait(10)
        others = [pool.submit(kept.get, "a", make) for _ in range(3)]
        # Another key does not wait for this one.
        assert kept.get("b", lambda: "b") == "b"
        go.set()
        assert {id(one.result()) for one in (first, *others)} == {id(made[0])}
    assert len(made) == 1


def test_the_one_used_longest_ago_goes_first():
    kept: ExpiringCache[int] = ExpiringCache(2)
    made: list[int] = []

    def get(number: int) -> None:
        assert kept.get(str(number), lambda: made.append(number) or number) == number

    for number in (1, 2, 1, 3, 1, 2):
        get(number)
    assert made == [1, 2, 3, 2]
    kept.forget("2")
    get(2)
    assert made == [1, 2, 3, 2, 2]


def test_a_failure_is_not_kept():
    kept: ExpiringCache[int] = ExpiringCache(1)

    def fails() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kept.get("a", fails)
    assert kept.get("a", lambda: 5) == 5


class Clock:
    """Time that moves when told to, and calls what is due."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[Due] = []

    def timer(self, seconds: float, act: Callable[[], None]) -> Due:
        return Due(self, self.now + seconds, act)

    def move(self, seconds: float) -> None:
        until = self.now + seconds
        while ready := sorted(one for one in self.due if one.at <= until):
            self.due.remove(ready[0])
            self.now = ready[0].at
            ready[0].function()
        self.now = until


class Due(threading.Timer):
    """A timer of that clock."""

    def __init__(self, clock: Clock, at: float, act: Callable[[], None]) -> None:
        super().__init__(0, act)
        self.clock, self.at = clock, at

    def __lt__(self, other: Due) -> bool:
        return self.at < other.at

    def start(self) -> None:
        self.clock.due.append(self)

    def cancel(self) -> None:
        if self in self.clock.due:
            self.clock.due.remove(self)


class Table:
    """Something large."""


def test_what_nobody_asks_for_is_let_go_of_after_ten_minutes_though_nobody_comes_again():
    clock = Clock()
    kept: ExpiringCache[Table] = ExpiringCache(2, timer=clock.timer)
    freed: list[str] = []

    def get(name: str) -> None:
        table = kept.get(name, Table)
        if not weakref.getweakrefcount(table):
            weakref.finalize(table, freed.append, name)

    get("a")
    clock.move(300)
    get("b")
    clock.move(200)
    get("a")
    clock.move(399)
    assert freed == []
    clock.move(1)
    gc.collect()
    assert freed == ["b"]
    clock.move(199)
    assert freed == ["b"]
    clock.move(1)
    gc.collect()
    assert freed == ["b", "a"]
    # With nothing kept there is nothing to wake up for.
    assert clock.due == []
    get("a")
    assert len(clock.due) == 1


def test_an_entry_asked_for_just_as_its_timer_fires_stays():
    clock = Clock()
    kept: ExpiringCache[int] = ExpiringCache(2, timer=clock.timer)
    assert kept.get("a", lambda: 1) == 1
    (late,) = clock.due
    assert kept.get("a", lambda: 2) == 1
    late.function()
    assert kept.get("a", lambda: 3) == 1


def test_what_has_expired_is_made_anew():
    clock = Clock()
    kept: ExpiringCache[int] = ExpiringCache(2, timer=clock.timer)
    assert kept.get("a", lambda: 1) == 1
    clock.move(599)
    assert kept.get("a", lambda: 2) == 1
    clock.move(600)
    assert kept.get("a", lambda: 3) == 3


def test_the_timer_is_real():
    kept: ExpiringCache[Table] = ExpiringCache(2, seconds=0.01)
    gone = threading.Event()
    weakref.finalize(kept.get("a", Table), gone.set)
    assert gone.wait(10)
