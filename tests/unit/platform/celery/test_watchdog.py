"""When consumption counts as stalled."""

from __future__ import annotations

import pytest

from reclens.platform.celery.watchdog import Health, Observation, StallDetector

WELL = Observation(redis=True)
DEAF = Observation(redis=True, asking=False)
AWAY = Observation(redis=False)


def judged(looks: list[Observation], *, every: float = 5.0) -> tuple[list[Health | None], bool]:
    """A look each five seconds, with 20 seconds allowed: health at each, and whether it is hopeless
    at the last."""
    detector = StallDetector(20)
    healths = [detector.health(look, every * i) for i, look in enumerate(looks)]
    return healths, detector.hopeless(every * (len(looks) - 1))


def test_an_idle_worker_that_asks_for_messages_consumes():
    assert judged([WELL] * 40) == ([Health.CONSUMING] * 40, False)


def test_a_worker_whose_slots_are_full_need_not_ask():
    full = Observation(redis=True, asking=False, full=True, waiting=9)
    assert judged([full] * 40) == ([Health.CONSUMING] * 40, False)


@pytest.mark.parametrize(
    "look",
    [DEAF, Observation(redis=True, waiting=3), Observation(redis=True, full=True, loop_seconds=20)],
    ids=["it does not ask", "messages wait", "the loop is stuck"],
)
def test_a_fault_that_lasts_is_a_stall_and_hopeless_after_three_times_as_long(look: Observation):
    # Well until second 0; stalled from second 20; hopeless from second 60.
    assert judged([WELL] + [look] * 3) == ([Health.CONSUMING] * 4, False)
    assert judged([WELL] + [look] * 11) == ([Health.CONSUMING] * 4 + [None] * 8, False)
    assert judged([WELL] + [look] * 12) == ([Health.CONSUMING] * 4 + [None] * 9, True)


def test_messages_may_wait_where_others_come_in():
    busy = [Observation(redis=True, waiting=7, received=i) for i in range(40)]
    assert judged(busy) == ([Health.CONSUMING] * 40, False)


def test_one_good_look_ends_a_stall():
    healths, hopeless = judged([WELL] + [DEAF] * 8 + [WELL] + [DEAF] * 3)
    assert healths[8:] == [None] + [Health.CONSUMING] * 4
    assert not hopeless


def test_an_outage_of_redis_is_no_stall_however_long():
    healths, hopeless = judged([WELL] + [AWAY] * 1000)
    assert set(healths[1:]) == {Health.RECONNECTING}
    assert not hopeless
    # And after it the worker has time to connect again.
    healths, hopeless = judged([WELL] + [AWAY] * 1000 + [DEAF] * 3 + [WELL])
    assert healths[-4:] == [Health.CONSUMING] * 4
    assert not hopeless


def test_one_that_does_not_connect_again_is_stalled():
    healths, hopeless = judged([WELL] + [AWAY] * 10 + [DEAF] * 12)
    assert healths[-9:] == [None] * 9
    assert hopeless


def test_a_machine_that_slept_is_not_held_against_the_worker():
    detector = StallDetector(20)
    assert detector.health(WELL, 0) is Health.CONSUMING
    assert detector.health(DEAF, 10_000) is Health.CONSUMING
    assert not detector.hopeless(10_000)


def test_a_worker_that_stops_is_left_alone():
    stopping = Observation(redis=True, stopping=True, asking=False, loop_seconds=900)
    assert judged([WELL] + [stopping] * 100) == (
        [Health.CONSUMING] + [Health.STOPPING] * 100,
        False,
    )
