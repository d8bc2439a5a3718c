"""One job at a time, a bounded number waiting, none that was given up."""

from __future__ import annotations

import asyncio
import threading

import pytest

from reclens.errors import DeadlineExceeded, Overloaded
from reclens_recommender.serving.model_thread import ModelThread


async def test_further_jobs_are_refused_while_the_queue_is_full_and_taken_after() -> None:
    thread, go = ModelThread(max_waiting=2), threading.Event()
    jobs = [asyncio.create_task(thread.run(lambda: go.wait(10), 10)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await thread.run(lambda: None, 10)
    go.set()
    assert await asyncio.gather(*jobs) == [True, True]
    assert await thread.run(lambda: "taken", 10) == "taken"
    thread.close()


async def test_job_that_is_given_up_while_it_waits_never_runs() -> None:
    thread, go, ran = ModelThread(max_waiting=4), threading.Event(), threading.Event()
    busy = asyncio.create_task(thread.run(lambda: go.wait(10), 10))
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceeded):
        await thread.run(ran.set, 0.01)
    go.set()
    await busy
    await thread.run(lambda: None, 10)
    assert not ran.is_set()
    thread.close()


async def test_jobs_never_overlap_and_errors_come_through() -> None:
    thread, inside, most = ModelThread(max_waiting=64), 0, 0

    def job() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        inside -= 1

    await asyncio.gather(*(thread.run(job, 10) for _ in range(50)))
    assert most == 1

    def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await thread.run(fail, 10)
    thread.close()
