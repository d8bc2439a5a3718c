"""Requests that come together go together, and none waits for longer than it says."""

from __future__ import annotations

import asyncio

import pytest

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.errors import DeadlineExceeded, InternalError, NotFound, Overloaded, RecLensError
from reclens_gateway.batching.dynamic_batching import IDLE_TURNS, DynamicBatcher


class Calls:
    """An inference service whose calls return when they are let."""

    def __init__(self) -> None:
        self.made: list[tuple[list[str], asyncio.Future[None]]] = []
        self.seconds: list[float] = []

    async def send(self, requests: list[pb.RankRequest], seconds: float) -> list[pb.RankOutcome]:
        free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.made.append(([request.request_id for request in requests], free))
        self.seconds.append(seconds)
        await free
        return [outcome(request) for request in requests]

    @property
    def batches(self) -> list[list[str]]:
        return [ids for ids, _ in self.made]

    def let(self, call: int, error: Exception | None = None) -> None:
        free = self.made[call][1]
        if error is None:
            free.set_result(None)
        else:
            free.set_exception(error)


def outcome(request: pb.RankRequest) -> pb.RankOutcome:
    if request.request_id.startswith("bad"):
        failure = pb.RankFailure(
            code=5,
            reason="NOT_FOUND",
            field="user_id",
            message="who?",
            remedy="ask",
            retry_seconds=2,
        )
        return pb.RankOutcome(failure=failure)
    # So that an answer tells whose it is.
    return pb.RankOutcome(response=pb.RankResponse(edited_latents=int(request.request_id)))


def asked(name: str, **fields: object) -> pb.RankRequest:
    return pb.RankRequest(request_id=name, **fields)  # pyright: ignore[reportArgumentType]


def batcher(calls: Calls, **options: int) -> DynamicBatcher:
    return DynamicBatcher(
        calls.send, **{"hops": 2, "max_batch": 3, "max_bytes": 1 << 20, **options}
    )


def later(seconds: float = 60.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def turns() -> None:
    for _ in range(IDLE_TURNS + 5):
        await asyncio.sleep(0)


def ask(one: DynamicBatcher, name: str, **fields: object) -> asyncio.Task[pb.RankResponse]:
    return asyncio.ensure_future(one.submit(asked(name, **fields), later()))


def test_first_calls_go_at_once_and_the_rest_gather_until_one_returns() -> None:
    async def run() -> None:
        calls = Calls()
        one = batcher(calls)
        first = ask(one, "1")
        await turns()
        second = ask(one, "2")
        await turns()
        rest = [ask(one, name) for name in "34567"]
        await turns()
        assert calls.batches == [["1"], ["2"]]
        calls.let(1)
        await turns()
        assert second.done()
        assert not first.done()
        assert calls.batches[2:] == [["3", "4", "5"]]
        calls.let(2)
        await turns()
        assert calls.batches[3:] == [["6", "7"]]
        calls.let(0)
        calls.let(3)
        answers = await asyncio.gather(first, second, *rest)
        assert [answer.edited_latents for answer in answers] == [1, 2, 3, 4, 5, 6, 7]

    asyncio.run(run())


def test_requests_of_one_moment_share_a_call() -> None:
    async def run() -> None:
        calls = Calls()
        one = batcher(calls)
        tasks = [ask(one, name) for name in "12"]
        await turns()
        assert calls.batches == [["1", "2"]]
        calls.let(0)
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_who_asks_again_at_once_goes_with_the_few_that_gathered_meanwhile() -> None:
    async def run() -> None:
        calls = Calls()
        one = batcher(calls, hops=1, max_batch=10)

        async def again(first: str, then: str) -> None:
            await one.submit(asked(first), later())
            await asyncio.sleep(0)
            await one.submit(asked(then), later())

        callers = [asyncio.ensure_future(again(*names)) for names in ("14", "25", "36")]
        await turns()
        few = ask(one, "7")
        await turns()
        calls.let(0)
        await turns()
        assert calls.batches == [["1", "2", "3"], ["7", "4", "5", "6"]]
        # As many as went before: nobody is waited for.
        callers += [ask(one, name) for name in ("8", "9", "10", "11")]
        await turns()
        calls.let(1)
        for _ in range(4):
            await asyncio.sleep(0)
        assert calls.batches[2:] == [["8", "9", "10", "11"]]
        calls.let(2)
        await asyncio.gather(few, *callers)

    asyncio.run(run())


def test_after_a_long_call_those_that_it_answered_are_waited_for_but_not_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Every call is long, as long as the timer to rejoin never ends.
    monkeypatch.setattr("reclens_gateway.batching.dynamic_batching.REJOIN_SHARE", 1e6)

    async def run() -> None:
        calls = Calls()
        one = batcher(calls, hops=1, max_batch=4)
        first = [ask(one, name) for name in "12"]
        await turns()
        few = [ask(one, "3")]
        calls.let(0)
        await asyncio.gather(*first)
        few.append(ask(one, "4"))
        await turns()
        assert calls.batches == [["1", "2"]]
        few.append(ask(one, "5"))  # as many as waited and were answered
        await turns()
        assert calls.batches[1:] == [["3", "4", "5"]]
        # More than one call takes: nobody is waited for.
        many = [ask(one, name) for name in ("6", "7", "8", "9")]
        await turns()
        calls.let(1)
        await asyncio.gather(*few)
        await turns()
        assert calls.batches[2:] == [["6", "7", "8", "9"]]
        monkeypatch.setattr("reclens_gateway.batching.dynamic_batching.REJOIN_SHARE", 1e-9)
        monkeypatch.setattr("reclens_gateway.batching.dynamic_batching.MAX_DELAY_SECONDS", 0.0)
        last = ask(one, "10")
        calls.let(2)
        await asyncio.gather(*many)
        while len(calls.batches) < 4:  # alone, as the others do not come again
            await asyncio.sleep(0)
        calls.let(3)
        await last

    asyncio.run(run())


def test_who_gave_up_while_waiting_is_not_sent() -> None:
    async def run() -> None:
        calls = Calls()
        one = batcher(calls, hops=1)
        first = ask(one, "1")
        await turns()
        gone, kept = ask(one, "2"), ask(one, "3")
        await turns()
        gone.cancel()
        await turns()
        calls.let(0)
        await first
        await turns()
        assert calls.batches == [["1"], ["3"]]
        calls.let(1)
        assert (await kept).edited_latents == 3

    asyncio.run(run())


def test_deadline_ends_the_wait_of_one_alone() -> None:
    async def run() -> None:
        calls = Calls()
        one = batcher(calls)
        patient = ask(one, "1")
        with pytest.raises(DeadlineExceeded):
            await one.submit(asked("2"), later(0.01))
        assert not patient.done()
        calls.let(0)
        assert (await patient).edited_latents == 1

    asyncio.run(run())


def test_entries_say_how_long_they_are_of_use_and_a_call_lasts_for_the_longest() -> None:
    async def run() -> None:
        calls = Calls()
        one = batcher(calls)
        short, long = asked("1"), asked("2")
        tasks = [
            asyncio.ensure_future(one.submit(short, later(5))),
            asyncio.ensure_future(one.submit(long, later(50))),
        ]
        await turns()
        assert 4 < short.timeout_seconds <= 5
        assert 49 < long.timeout_seconds <= 50
        assert calls.seconds == [long.timeout_seconds]
        calls.let(0)
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_large_requests_and_answers_go_in_calls_of_their_own() -> None:
    async def run() -> None:
        calls = Calls()
        one = batcher(calls, max_batch=100, max_bytes=50_000, hops=9)
        tasks = [
            ask(one, "1", excluded_items=range(1000)),
            ask(one, "2", top_k=1000),  # 20 bytes an item
            ask(one, "3", top_k=1000),
            ask(one, "4", top_k=1000),
            ask(one, "5", top_k=100, include_latents=True),
        ]
        await turns()
        assert calls.batches == [["1", "2", "3"], ["4"], ["5"]]
        for call in range(3):
            calls.let(call)
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_refused_entry_is_the_error_that_inference_raised() -> None:
    async def run() -> None:
        calls = Calls()
        one = batcher(calls)
        task = asyncio.ensure_future(one.submit_all([asked("1"), asked("bad")], later()))
        await turns()
        calls.let(0)
        good, bad = await task
        assert isinstance(good, pb.RankResponse)
        assert isinstance(bad, NotFound)
        assert (bad.message, bad.field, bad.remedy) == ("who?", "user_id", "ask")
        assert bad.retry_seconds == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "kind"),
    [(Overloaded("full", retry_seconds=3), Overloaded), (InternalError("call x"), InternalError)],
)
def test_failed_call_fails_each_of_its_requests_and_the_next_goes_on(error, kind) -> None:
    async def run() -> None:
        calls = Calls()
        one = batcher(calls, hops=1)
        tasks = [ask(one, "1"), ask(one, "2")]
        await turns()
        after = ask(one, "3")
        await turns()
        calls.let(0, error)
        failures = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(failure) for failure in failures] == [kind, kind]
        assert failures[0] is not failures[1]
        for name, failure in zip("12", failures, strict=True):
            assert isinstance(failure, RecLensError)
            if kind is InternalError:
                # The id of the call means nothing to who asked.
                assert f"request {name}" in failure.message
            else:
                assert failure.retry_seconds == 3
        await turns()
        calls.let(1)
        assert (await after).edited_latents == 3

    asyncio.run(run())
