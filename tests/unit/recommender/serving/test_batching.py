"""Everything that waits is answered together, in turns, and nothing that nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from time import monotonic

import pytest

from reclens.errors import DeadlineExceeded, InternalError, Overloaded, Unavailable
from reclens.platform.observability import metrics
from reclens_recommender.serving.batching import MicroBatcher


class Model:
    """Answers with what it was asked, once it is let go; notes the batches."""

    def __init__(self, *, held: bool = True, max_batch: int = 4, max_waiting: int = 100) -> None:
        self.batches: list[tuple[str, list[str]]] = []
        self.busy, self.go = threading.Event(), threading.Event()
        self.most_at_once = 0
        self._inside = 0
        if not held:
            self.go.set()
        self.batcher = MicroBatcher[str, str, str](
            self._answer, max_batch=max_batch, max_waiting=max_waiting
        )

    async def ask(self, *entries: str, key: str = "k", seconds: float = 20.0) -> list[object]:
        deadline = monotonic() + seconds
        return list(await self.batcher.ask(key, entries, [deadline] * len(entries)))

    async def held(self) -> asyncio.Task[list[object]]:
        """A call that keeps the model busy."""
        task = asyncio.create_task(self.ask("first"))
        await asyncio.to_thread(self.busy.wait, 10)
        return task

    async def settled(self) -> None:
        """Let started calls get to the queue."""
        for _ in range(3):
            await asyncio.sleep(0)

    def _answer(self, key: str, entries: Sequence[str]) -> list[str]:
        self._inside += 1
        self.most_at_once = max(self.most_at_once, self._inside)
        self.batches.append((key, list(entries)))
        self.busy.set()
        assert self.go.wait(20)
        self._inside -= 1
        if "bad" in entries:
            raise KeyError("not on purpose")
        return [entry.upper() for entry in entries]


async def test_what_waits_is_answered_together_and_calls_take_turns() -> None:
    model = Model()
    first = await model.held()
    calls = [
        asyncio.create_task(model.ask("a1", "a2", "a3", "a4", "a5")),
        asyncio.create_task(model.ask("b1")),
        asyncio.create_task(model.ask("c1", "c2")),
    ]
    await model.settled()
    model.go.set()
    assert await first == ["FIRST"]
    assert await asyncio.gather(*calls) == [["A1", "A2", "A3", "A4", "A5"], ["B1"], ["C1", "C2"]]
    assert [entries for _, entries in model.batches] == [
        ["first"],
        ["a1", "b1", "c1", "a2"],
        ["c2", "a3", "a4", "a5"],
    ]
    assert model.most_at_once == 1
    assert model.batcher.waiting == 0
    model.batcher.close()


async def test_an_idle_model_answers_at_once_whatever_a_batch_may_hold() -> None:
    model = Model(held=False)
    assert await model.ask("alone") == ["ALONE"]
    assert model.batches == [("k", ["alone"])]
    model.batcher.close()


async def test_batches_are_of_one_key() -> None:
    model = Model()
    first = await model.held()
    calls = [
        asyncio.create_task(model.ask(name, key=key))
        for name, key in (("a", "old"), ("b", "new"), ("c", "old"), ("d", "new"))
    ]
    await model.settled()
    model.go.set()
    assert await asyncio.gather(first, *calls) == [["FIRST"], ["A"], ["B"], ["C"], ["D"]]
    assert model.batches[1:] == [("old", ["a", "c"]), ("new", ["b", "d"])]
    model.batcher.close()


async def test_entries_beyond_the_limit_are_refused_with_a_time_to_come_back() -> None:
    model = Model(max_waiting=3)
    first = await model.held()
    call = asyncio.create_task(model.ask("a", "b", "c", "d"))
    await model.settled()
    (refused,) = await model.ask("e")
    assert isinstance(refused, Overloaded)
    assert refused.retry_seconds > 0
    model.go.set()
    outcomes = await call
    assert outcomes[:2] == ["A", "B"]
    assert [type(outcome) for outcome in outcomes[2:]] == [Overloaded, Overloaded]
    await first
    assert await model.ask("later") == ["LATER"]
    model.batcher.close()


async def test_entries_whose_time_has_passed_cost_nothing() -> None:
    model = Model()
    first = await model.held()
    now = monotonic()
    call = asyncio.create_task(model.batcher.ask("k", ["late", "fine"], [now - 1, now + 20]))
    await model.settled()
    model.go.set()
    late, fine = await call
    assert isinstance(late, DeadlineExceeded)
    assert fine == "FINE"
    await first
    assert ["late"] not in [entries for _, entries in model.batches]
    assert model.batches[-1] == ("k", ["fine"])
    model.batcher.close()


async def test_call_whose_time_passes_while_the_model_is_busy_ends_and_costs_nothing() -> None:
    model = Model()
    first = await model.held()
    with pytest.raises(DeadlineExceeded):
        await model.ask("late", seconds=0.01)
    model.go.set()
    await first
    assert await model.ask("next") == ["NEXT"]
    assert "late" not in [entry for _, entries in model.batches for entry in entries]
    assert model.batcher.waiting == 0
    model.batcher.close()


async def test_entries_whose_caller_has_gone_cost_nothing() -> None:
    model = Model()
    first = await model.held()
    call = asyncio.create_task(model.ask("gone", "gone too"))
    await model.settled()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    model.go.set()
    await first
    assert await model.ask("next") == ["NEXT"]
    assert [entries for _, entries in model.batches] == [["first"], ["next"]]
    assert model.batcher.waiting == 0
    model.batcher.close()


async def test_a_fault_of_the_model_is_told_and_the_next_batch_is_answered() -> None:
    model = Model(held=False)
    (failed,) = await model.ask("bad")
    assert isinstance(failed, InternalError)
    assert "purpose" not in str(failed)
    assert await model.ask("good") == ["GOOD"]
    model.batcher.close()


async def test_closing_ends_the_running_batch_and_refuses_what_waits() -> None:
    model = Model()
    first = await model.held()
    waiting = asyncio.create_task(model.ask("waiting"))
    await model.settled()
    closing = asyncio.create_task(asyncio.to_thread(model.batcher.close))
    (refused,) = await waiting
    assert isinstance(refused, Unavailable)
    model.go.set()
    assert await first == ["FIRST"]
    await closing
    with pytest.raises(Unavailable):
        await model.ask("after")


async def test_the_figure_of_waiting_requests_falls_back_when_they_are_answered() -> None:
    model = Model(held=False)
    meters = metrics.enable()
    try:
        await model.ask("a", "b", "c")
        await asyncio.to_thread(model.batcher.close)
        assert meters.registry.get_sample_value("reclens_requests_waiting") == 0
    finally:
        metrics.disable()
