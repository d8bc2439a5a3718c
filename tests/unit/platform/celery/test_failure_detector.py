"""Who counts as dead."""

from __future__ import annotations

from reclens.platform.celery.failure_detector import FailureDetector, detection_timeout


def test_the_timeout_is_half_a_minute_and_no_longer_than_the_visibility_timeout():
    assert detection_timeout(600) == 30
    assert detection_timeout(4) == 4


def test_a_count_that_stands_still_is_a_death():
    detector = FailureDetector(30)
    for now in range(0, 30, 5):
        assert detector.suspects({"a": 7, "b": now}, now) == []
    assert detector.suspects({"a": 7, "b": 30}, 30) == ["a"]


def test_a_count_that_moved_once_begins_anew():
    detector = FailureDetector(30)
    for now in range(0, 25, 5):
        assert detector.suspects({"a": 7}, now) == []
    for now in range(25, 55, 5):
        assert detector.suspects({"a": 8}, now) == []
    assert detector.suspects({"a": 8}, 55) == ["a"]


def test_nobody_is_suspected_by_what_was_seen_before_an_outage():
    detector = FailureDetector(30)
    for now in range(0, 30, 5):
        detector.suspects({"a": 7}, now)
    detector.forget()
    for now in range(30, 60, 5):
        assert detector.suspects({"a": 7}, now) == []
    assert detector.suspects({"a": 7}, 60) == ["a"]


def test_an_observer_that_slept_suspects_nobody():
    detector = FailureDetector(30)
    detector.suspects({"a": 7}, 0)
    # All machines of a virtual cluster may have been suspended together.
    assert detector.suspects({"a": 7}, 3600) == []


def test_one_that_has_left_is_forgotten():
    detector = FailureDetector(30)
    for now in range(0, 30, 5):
        detector.suspects({"a": 7}, now)
    detector.suspects({}, 30)
    assert detector.suspects({"a": 7}, 35) == []


def test_one_without_a_connection_is_dead_within_seconds_and_one_with_it_is_not():
    detector = FailureDetector(30, 6)
    for now in range(0, 6, 2):
        assert detector.suspects({"a": 7, "b": 7}, now, ["b"]) == []
    assert detector.suspects({"a": 7, "b": 7}, 6, ["b"]) == ["a"]
    for now in range(8, 30, 2):
        assert detector.suspects({"b": 7}, now, ["b"]) == []
    assert detector.suspects({"b": 7}, 30, ["b"]) == ["b"]


def test_without_a_connection_one_that_counts_is_alive():
    detector = FailureDetector(30, 6)
    for now in range(0, 60, 2):
        assert detector.suspects({"a": now}, now, []) == []


def test_where_redis_tells_no_connections_it_takes_as_long_as_for_any():
    detector = FailureDetector(30, 6)
    for now in range(0, 30, 2):
        assert detector.suspects({"a": 7}, now) == []
    assert detector.suspects({"a": 7}, 30) == ["a"]
