"""What is made once and shared by threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reclens_labeler.stages.workbench import Latest


def test_threads_that_want_the_same_wait_for_the_one_making_it():
    kept: Latest[object] = Latest(2)
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
    kept: Latest[int] = Latest(2)
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
    kept: Latest[int] = Latest(1)

    def fails() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kept.get("a", fails)
    assert kept.get("a", lambda: 5) == 5
