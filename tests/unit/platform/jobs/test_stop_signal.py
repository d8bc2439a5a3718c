"""When a job should stop, from hand-set clocks and a real Redis."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from running_lookalike import Lookalike
from running_stack import wait_for

from reclens.concepts.llm.chat import ChatMessage, ChatRequest
from reclens.errors import LlmInterrupted
from reclens.platform.jobs.log import JobLog
from reclens.platform.jobs.stop_signal import StopSignal
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.settings.models import LlmSettings, RedisSettings

REQUEST = ChatRequest(
    model="any",
    messages=(ChatMessage("user", "one word"),),
    schema={"type": "object"},
    max_tokens=8,
    temperature=0.0,
    seed=0,
)


class Clock:
    """A time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 50.0
        self.stopped = False
        self.waits: list[float] = []

    def is_set(self) -> bool:
        return self.stopped

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        self.now += timeout
        return self.stopped


def test_it_asks_once_a_second_and_no_more_once_it_knows():
    clock = Clock()
    asked: list[float] = []

    def cancelled() -> bool:
        asked.append(clock.now)
        return clock.now >= 52

    signal = StopSignal(clock, cancelled, now=lambda: clock.now)
    for quarter in range(20):
        clock.now = 50 + quarter / 4
        assert signal.is_set() == (clock.now >= 52)
    assert asked == [50, 51, 52]


def test_it_waits_in_slices_and_no_longer_than_asked_for():
    clock = Clock()
    signal = StopSignal(clock, lambda: False, now=lambda: clock.now)
    assert not signal.wait(2.5)
    assert clock.waits == [1, 1, 0.5]
    assert clock.now == 52.5


def test_a_wait_ends_with_the_cancellation_or_with_the_worker():
    clock = Clock()
    signal = StopSignal(clock, lambda: clock.now >= 53, now=lambda: clock.now)
    assert signal.wait(100)
    assert clock.now == 53
    stopping = threading.Event()
    stopping.set()
    assert StopSignal(stopping, lambda: False).wait(100)


def test_not_to_know_is_no_reason_to_stop():
    def away() -> bool:
        raise RedisConnectionError

    assert not StopSignal(threading.Event(), away).is_set()


def test_a_job_that_is_cancelled_does_not_sit_out_a_pause_of_the_language_model(
    redis_url: str, tgi: Lookalike
):
    log = JobLog(RedisSettings.model_validate({"url": redis_url}))
    shard, labelling = str(uuid.uuid4()), str(uuid.uuid4())
    log.record(labelling, "reclens.concepts.label.v1", {})
    tgi.always(status=503, headers={"retry-after": "100"})
    signal = StopSignal(threading.Event(), lambda: log.cancelled(shard, labelling))
    client = HttpLlmClient(LlmSettings(endpoint=tgi.url, dialect="tgi"), stop=signal)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.complete, REQUEST)
        wait_for(lambda: len(tgi.requests) == 1, "the model to be asked")
        assert not answer.done()
        log.cancel(labelling)
        with pytest.raises(LlmInterrupted):
            answer.result(30)
    client.close()
    assert len(tgi.requests) == 1
