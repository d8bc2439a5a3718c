"""Dynamic batching: rank requests that come at once go in few calls, as a call costs more than an
entry."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.errors import DeadlineExceeded, InternalError, RecLensError
from reclens.platform.observability import metrics
from reclens.rpc_status import failure_error

IDLE_TURNS = 6
"""Turns of the event loop that bring no request, after which no more are waited for. gRPC takes
about four to bring the next one of those that have arrived."""
MAX_DELAY_SECONDS = 0.002
"""How long requests may keep coming before those that came are sent."""

REJOIN_SHARE = 0.1
"""Share of the time that a call took for which those that it answered may come again and go with
the others: where a call is long, two half as large take nearly twice as long."""

_ITEM_BYTES, _LATENTS = 20, 128

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Queued:
    """A request that is to be sent, and who waits for its answer."""

    request: pb.RankRequest
    deadline: float
    answer: asyncio.Future[pb.RankResponse]
    n_bytes: int


class DynamicBatcher:
    """Sends what came together while fewer than ``hops`` calls are under way; else requests gather
    until one returns, and go together.

    So a lone request waits for nobody, and under load calls grow as far as they have to. Requests
    that find no call under way are sent once no more come with them. Those that gathered during a
    call are sent as soon as it returns if they are as many as it took, and else once no more come:
    many of those that it answered ask again. After a long call they wait until as many have come
    as it answered, or for a tenth of its time. Whoever gives up while waiting is not sent.

    Args:
        send: one call: requests, and the seconds that it may take, to outcomes in the same order.
        hops: calls at a time.
        max_batch: requests in one call.
        max_bytes: of the requests in one call, and of the answers that they are expected to make.
    """

    def __init__(
        self,
        send: Callable[[list[pb.RankRequest], float], Awaitable[Sequence[pb.RankOutcome]]],
        *,
        hops: int,
        max_batch: int,
        max_bytes: int,
    ) -> None:
        self._send = send
        self._hops = hops
        self._max_batch = max_batch
        self._max_bytes = max_bytes
        self._waiting: deque[_Queued] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._watching = False
        self._expected = 0
        self._rejoin_timer: asyncio.TimerHandle | None = None
        self._idle_turns = 0
        self._send_by = 0.0

    async def submit(self, request: pb.RankRequest, deadline: float) -> pb.RankResponse:
        """The answer to one request.

        Raises:
            RecLensError: why it was refused.
            DeadlineExceeded: there was no answer before ``deadline``, in the loop's time.
        """
        answer = self._enqueue(request, deadline)
        timer = asyncio.get_running_loop().call_at(deadline, _expire, answer)
        try:
            return await answer
        finally:
            timer.cancel()

    async def submit_all(
        self, requests: Sequence[pb.RankRequest], deadline: float
    ) -> list[pb.RankResponse | RecLensError]:
        """The answers to several requests, each answered or refused on its own."""
        answers = [self._enqueue(request, deadline) for request in requests]
        timer = asyncio.get_running_loop().call_at(deadline, lambda: list(map(_expire, answers)))
        try:
            # Nothing but these errors is ever set.
            return await asyncio.gather(*answers, return_exceptions=True)  # pyright: ignore[reportReturnType]
        finally:
            timer.cancel()

    def _enqueue(self, request: pb.RankRequest, deadline: float) -> asyncio.Future[pb.RankResponse]:
        loop = asyncio.get_running_loop()
        one = _Queued(request, deadline, loop.create_future(), _n_bytes(request))
        self._waiting.append(one)
        self._idle_turns = 0
        if self._rejoin_timer is None:
            self._watch()
        elif len(self._waiting) >= self._expected:
            self._stop_waiting()
        return one.answer

    def _watch(self) -> None:
        """See to it that what waits is sent, if it may be, once no more comes."""
        if self._waiting and not self._watching and len(self._calls) < self._hops:
            loop = asyncio.get_running_loop()
            self._watching, self._idle_turns = True, 0
            self._send_by = loop.time() + MAX_DELAY_SECONDS
            loop.call_soon(self._turn)

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle_turns += 1
        full = len(self._waiting) >= self._max_batch
        if full or self._idle_turns > IDLE_TURNS or loop.time() >= self._send_by:
            self._watching = False
            self._start()
        else:
            loop.call_soon(self._turn)

    def _start(self) -> None:
        while self._waiting and len(self._calls) < self._hops:
            batch = self._next_batch()
            if batch:
                loop = asyncio.get_running_loop()
                call = loop.create_task(self._call(batch))
                self._calls.add(call)
                call.add_done_callback(partial(self._returned, len(batch), loop.time()))

    def _returned(self, size: int, began: float, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if self._watching or self._rejoin_timer is not None:
            return
        loop = asyncio.get_running_loop()
        delay = REJOIN_SHARE * (loop.time() - began)
        expected = min(self._max_batch, len(self._waiting) + size)
        if delay > MAX_DELAY_SECONDS and len(self._waiting) < expected:
            self._expected = expected
            self._rejoin_timer = loop.call_later(delay, self._stop_waiting)
        elif len(self._waiting) >= size:
            self._start()
        else:
            self._watch()

    def _stop_waiting(self) -> None:
        """Send what waits, whoever has not come."""
        if self._rejoin_timer is not None:
            self._rejoin_timer.cancel()
            self._rejoin_timer = None
        self._start()

    def _next_batch(self) -> list[_Queued]:
        batch: list[_Queued] = []
        n_bytes = 0
        while self._waiting and len(batch) < self._max_batch:
            one = self._waiting[0]
            if one.answer.done():  # given up
                self._waiting.popleft()
                continue
            n_bytes += one.n_bytes
            if batch and n_bytes > self._max_bytes:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _call(self, batch: list[_Queued]) -> None:
        metrics.current().hop_size.observe(len(batch))
        metrics.current().waiting.set(len(self._waiting))
        now = asyncio.get_running_loop().time()
        for one in batch:
            one.request.timeout_seconds = max(one.deadline - now, 1e-3)
        seconds = max(one.request.timeout_seconds for one in batch)
        try:
            outcomes = await self._send([one.request for one in batch], seconds)
        except Exception as error:
            if not isinstance(error, RecLensError):
                logger.exception("call failed", requests=len(batch))
                error = InternalError("the gateway's call to inference failed.")
            for one in batch:
                _fail(one.answer, _of_request(error, one.request.request_id))
            return
        except BaseException:
            for one in batch:
                one.answer.cancel()
            raise
        if len(outcomes) != len(batch):
            for one in batch:
                _fail(one.answer, InternalError(f"{len(outcomes)} answers to {len(batch)}."))
            return
        for one, outcome in zip(batch, outcomes, strict=True):
            if one.answer.done():
                continue
            if outcome.HasField("response"):
                one.answer.set_result(outcome.response)
            else:
                one.answer.set_exception(failure_error(outcome.failure))


def _n_bytes(request: pb.RankRequest) -> int:
    """The larger of the request and of the answer that it makes."""
    answer = request.top_k * _ITEM_BYTES * (2 if request.include_baseline else 1)
    if request.include_latents:
        answer += request.top_k * 4 * _LATENTS
    return max(request.ByteSize(), answer)


def _of_request(error: RecLensError, request_id: str) -> RecLensError:
    """The error of a whole call, as that of one request in it."""
    if isinstance(error, InternalError):
        # It names the call, which its caller knows nothing of; the log ties the two together.
        logger.error("inference failed", request_id=request_id, error=error.sentence)
        return InternalError(
            f"the server failed on request {request_id}.",
            remedy="look for that id in the server's log.",
        )
    # Not the same object: raised for two callers, it would mix up their traces.
    return type(error)(
        error.message, field=error.field, remedy=error.remedy, retry_seconds=error.retry_seconds
    )


def _fail(answer: asyncio.Future[pb.RankResponse], error: RecLensError) -> None:
    if not answer.done():
        answer.set_exception(error)


def _expire(answer: asyncio.Future[pb.RankResponse]) -> None:
    message = "the inference service did not answer before the deadline."
    _fail(answer, DeadlineExceeded(message, remedy="allow more time."))
