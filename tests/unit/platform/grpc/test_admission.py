"""Admission by hand-worked cases, with a clock of the test's own."""

from __future__ import annotations

import asyncio

import pytest

from reclens.errors import DeadlineExceeded, InvalidInput, Overloaded
from reclens.platform.grpc.admission import Admission, Bodies


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def admission(limit: int = 100) -> tuple[Admission, Clock]:
    clock = Clock()
    return Admission(limit, clock, draw=lambda: 0.5), clock


def serve(subject: Admission, clock: Clock, *, calls: int, seconds: float) -> None:
    """Each call that ends is followed by another."""
    for _ in range(calls):
        clock.now += seconds / calls
        subject.leave()
        subject.enter(None)


def test_limit_bounds_what_runs_and_is_given_back() -> None:
    subject, _ = admission(2)
    subject.enter(None)
    subject.enter(None)
    assert subject.full
    with pytest.raises(Overloaded):
        subject.enter(None)
    subject.leave()
    subject.enter(None)
    assert subject.running == 2


def test_no_limit_never_fills() -> None:
    subject, _ = admission(0)
    for _ in range(5000):
        subject.enter(None)
    assert not subject.full


def test_what_would_come_too_late_is_refused_at_once() -> None:
    subject, clock = admission()
    for _ in range(10):
        subject.enter(None)
    # 100 calls a second, and never idle.
    serve(subject, clock, calls=100, seconds=1.0)
    assert subject.rate == pytest.approx(100, rel=0.02)
    # 10 under way at 100/s: the next is done in 0.1 s.
    assert subject.wait_seconds == pytest.approx(0.1, rel=0.02)
    subject.enter(0.25)
    subject.leave()
    # No more than half of what is left may go by waiting.
    with pytest.raises(Overloaded):
        subject.enter(0.15)
    with pytest.raises(Overloaded) as refused:
        subject.enter(0.05)
    assert refused.value.retry_seconds == pytest.approx(0.1, rel=0.1)
    assert subject.running == 10


def test_little_traffic_does_not_look_like_a_slow_server() -> None:
    subject, clock = admission()
    # One call every ten seconds, each alone.
    for _ in range(20):
        clock.now += 10
        subject.enter(None)
        subject.leave()
    # A burst: nothing says that it could not be served.
    for _ in range(50):
        subject.enter(1.0)
    assert subject.running == 50


def test_rate_follows_a_server_that_slows_down() -> None:
    subject, clock = admission()
    for _ in range(10):
        subject.enter(None)
    serve(subject, clock, calls=200, seconds=1.0)
    serve(subject, clock, calls=50, seconds=10.0)
    assert subject.rate == pytest.approx(5, rel=0.1)


def test_calls_given_up_free_their_place_but_are_no_answers() -> None:
    subject, clock = admission()
    for _ in range(10):
        subject.enter(None)
    for call in range(100):
        clock.now += 0.01
        # Nine of ten give up.
        subject.leave(answered=call % 10 == 0)
        subject.enter(None)
    assert subject.running == 10
    assert subject.rate == pytest.approx(10, rel=0.25)


def test_passed_deadline_is_no_overload() -> None:
    subject, _ = admission()
    with pytest.raises(DeadlineExceeded):
        subject.enter(0.0)
    assert subject.running == 0


def test_delay_is_bounded_and_spread() -> None:
    early, late = (Admission(1, draw=lambda share=share: share) for share in (0.0, 1.0))
    for one in (early, late):
        one.enter(None)
        one.rate = 0.5
    # Two seconds, give or take a quarter.
    assert (early.retry_seconds(), late.retry_seconds()) == (1.5, 2.5)
    early.rate, late.rate = 1000.0, 0.001
    assert (early.retry_seconds(), late.retry_seconds()) == (0.05, 30.0)


def test_one_client_does_not_get_all() -> None:
    subject = Admission(10, client_limit=2)
    subject.enter(None, "one")
    subject.enter(None, "one")
    with pytest.raises(Overloaded, match="one"):
        subject.enter(None, "one")
    subject.enter(None, "other")
    subject.leave("one")
    subject.enter(None, "one")


class Arriving:
    """The context of a call whose message arrives when it is told to."""

    def __init__(self) -> None:
        self.asked = False
        self.message: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes:
        self.asked = True
        return await self.message


async def test_messages_beyond_the_budget_stay_where_they_are() -> None:
    bodies = Bodies(budget=4 * 100, largest=100, seconds=30)
    slow = [Arriving() for _ in range(4)]
    reading = [asyncio.create_task(bodies.read(one, "slow", 100)) for one in slow]
    other = Arriving()
    reading.append(asyncio.create_task(bodies.read(other, "other", 100)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    # One sender has half of the places at most.
    assert [one.asked for one in slow] == [True, True, False, False]
    assert other.asked
    for one in (*slow, other):
        one.message.set_result(b"x" * 40)
    messages = await asyncio.gather(*reading)
    assert bodies.held == 5 * 40
    bodies.go(messages[0])
    assert bodies.held == 4 * 40


async def test_message_that_is_late_or_too_large_is_refused() -> None:
    bodies = Bodies(budget=100, largest=100, seconds=0.01)
    with pytest.raises(DeadlineExceeded):
        await bodies.read(Arriving(), "", 100)
    large = Arriving()
    large.message.set_result(b"x" * 11)
    with pytest.raises(InvalidInput, match="11 bytes"):
        await bodies.read(large, "", 10)
    assert bodies.held == 0
    most = Arriving()
    most.message.set_result(b"x" * 51)
    await bodies.read(most, "", 100)
    with pytest.raises(Overloaded):
        await bodies.read(Arriving(), "", 100)
