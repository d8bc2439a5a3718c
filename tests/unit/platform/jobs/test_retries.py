"""Waiting for what is away."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from reclens.contracts import Progress
from reclens.contracts.specs.concepts import CONCEPTS_SHARD
from reclens.errors import LeaseLost, RecLensError, Unavailable
from reclens.platform.backoff import backoff_seconds
from reclens.platform.jobs import retries
from reclens.platform.jobs.app import connect, make_app
from reclens.platform.jobs.context import tell
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.retries import retry_delay
from reclens.platform.settings.models import RedisSettings, WorkerSettings


class Away(Unavailable):
    long_outage: ClassVar[bool] = True


def _nothing() -> None:
    pass


class Clock:
    """A time that moves when told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(retries, "time", clock)
    return clock


class Waiter:
    """A task that meets the same fault each time it is tried."""

    def __init__(self, redis_url: str, patience_seconds: float) -> None:
        redis = RedisSettings.model_validate({"url": redis_url})
        self.job_id = str(uuid.uuid4())
        self.log = JobLog(redis)
        self.log.record(self.job_id, CONCEPTS_SHARD.task, {}, listed=False)
        app = make_app(redis)
        self._task: Any = app.task(name="waiter")(_nothing)
        self._task.push_request(id=self.job_id)
        self._runtime: Any = SimpleNamespace(
            redis=connect(redis),
            settings=WorkerSettings(redis=redis, patience_seconds=patience_seconds),
            longest_countdown=60.0,
        )

    def begin(self, progress: Progress | None = None) -> None:
        """A worker takes it up, and says how far it is."""
        tell(self._task, "STARTED", {})
        if progress is not None:
            tell(self._task, "PROGRESS", progress.canonical())

    def end(self, error: Exception) -> None:
        """It fails for good."""
        self._task.backend.mark_as_failure(self.job_id, error)

    def fail(self, error: RecLensError | None = None) -> float:
        error = error or Away("http://x: answered 503")
        return retry_delay(self._task, self._runtime, error)


def test_it_waits_twice_as_long_each_time_up_to_a_minute():
    waits = [[backoff_seconds(tries, longest=60.0) for _ in range(200)] for tries in range(9)]
    for tries, drawn in enumerate(waits):
        ceiling = min(60, 2**tries)
        assert ceiling / 2 <= min(drawn) < max(drawn) <= ceiling
    assert backoff_seconds(100_000, longest=60.0) <= 60


def test_it_tries_until_patience_is_at_its_end_and_then_gives_the_fault(
    redis_url: str, clock: Clock
):
    waiter = Waiter(redis_url, patience_seconds=3600)
    began = clock.now
    tries = 0
    while True:
        try:
            clock.now += waiter.fail()
        except Away:
            break
        tries += 1
    # The last try is when patience ends, neither before nor after.
    assert clock.now - began == pytest.approx(3600)
    # A try takes a minute at most and half of one at least: far more than the six of other faults.
    assert 60 <= tries <= 130
    # Afterwards it starts afresh.
    assert waiter.fail() <= 2


def test_what_it_waits_for_can_be_seen(redis_url: str, clock: Clock):
    waiter = Waiter(redis_url, patience_seconds=100)
    waiter.fail()
    clock.now += 10
    seconds = waiter.fail()
    view = waiter.log.show(waiter.job_id)
    assert view.state == "RETRYING"
    assert view.waiting is not None
    assert view.waiting.reason == "UNAVAILABLE"
    assert view.waiting.message == "http://x: answered 503"
    assert view.waiting.since == "1970-01-12T13:46:40.000+00:00"
    assert view.waiting.next_try_at > "1970-01-12T13:46:50"
    assert 2 <= seconds <= 4


def test_without_patience_the_fault_comes_at_once(redis_url: str, clock: Clock):
    with pytest.raises(Away):
        Waiter(redis_url, patience_seconds=0).fail()


def test_how_far_it_was_is_shown_however_often_it_tries(redis_url: str, clock: Clock):
    waiter = Waiter(redis_url, patience_seconds=1000)
    shown: list[tuple[str, int] | None] = []

    def attempt(progress: Progress | None) -> None:
        waiter.begin(progress)
        clock.now += waiter.fail()
        seen = waiter.log.show(waiter.job_id).progress
        shown.append(seen and (seen.stage, seen.step))

    attempt(Progress(stage="read"))
    attempt(Progress(stage="label", step=3, total=16, unit="latents"))
    attempt(None)
    attempt(Progress(stage="read"))
    attempt(Progress(stage="label", step=5, total=16, unit="latents"))
    attempt(None)
    assert shown == [("read", 0), *[("label", 3)] * 3, *[("label", 5)] * 2]


def test_other_faults_are_tried_a_few_times_however_long_an_outage_was(
    redis_url: str, clock: Clock
):
    waiter = Waiter(redis_url, patience_seconds=3600)
    for _ in range(20):
        clock.now += waiter.fail()
    for _ in range(6):
        clock.now += waiter.fail(LeaseLost("gone"))
    with pytest.raises(LeaseLost):
        waiter.fail(LeaseLost("gone"))


def test_a_job_that_has_ended_shows_its_end_whoever_still_works_on_it(redis_url: str, clock: Clock):
    waiter = Waiter(redis_url, patience_seconds=3600)
    waiter.end(ValueError("no"))
    waiter.begin(Progress(stage="label", step=3, total=16))
    waiter.fail()
    assert waiter.log.show(waiter.job_id).state == "FAILED"
