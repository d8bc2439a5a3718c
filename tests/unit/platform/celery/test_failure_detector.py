"""Who counts as dead."""

from __future__ import annotations

from reclens.platform.celery.failure_detector import Silence, silence_of


def test_silence_is_half_a_minute_and_no_longer_than_the_visibility_timeout():
    assert silence_of(600) == 30
    assert silence_of(4) == 4


def test_a_count_that_stands_still_is_silence():
    silence = Silence(30)
    for now in range(0, 30, 5):
        assert silence.look({"a": 7, "b": now}, now) == []
    assert silence.look({"a": 7, "b": 30}, 30) == ["a"]


def test_a_count_that_moved_once_begins_anew():
    silence = Silence(30)
    for now in range(0, 25, 5):
        assert silence.look({"a": 7}, now) == []
    for now in range(25, 55, 5):
        assert silence.look({"a": 8}, now) == []
    assert silence.look({"a": 8}, 55) == ["a"]


def test_nobody_is_judged_by_what_was_seen_before_an_outage():
    silence = Silence(30)
    for now in range(0, 30, 5):
        silence.look({"a": 7}, now)
    silence.forget()
    for now in range(30, 60, 5):
        assert silence.look({"a": 7}, now) == []
    assert silence.look({"a": 7}, 60) == ["a"]


def test_an_observer_that_slept_judges_nobody():
    silence = Silence(30)
    silence.look({"a": 7}, 0)
    # All machines of a virtual cluster may have been suspended together.
    assert silence.look({"a": 7}, 3600) == []


def test_one_that_has_left_is_forgotten():
    silence = Silence(30)
    for now in range(0, 30, 5):
        silence.look({"a": 7}, now)
    silence.look({}, 30)
    assert silence.look({"a": 7}, 35) == []
