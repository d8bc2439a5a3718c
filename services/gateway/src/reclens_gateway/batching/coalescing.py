"""Gathers rank requests that come at once into few calls: a call costs more than an entry."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import grpc
import structlog

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.errors import DeadlineExceeded, InternalError, RecLensError
from reclens.platform.observability import metrics
from reclens.rpc_status import CODES, from_parts

QUIET_TURNS = 6
"""Turns of the event loop that bring no request, after which no more are waited for. gRPC takes
about four to bring the next one of those that have arrived."""
GATHER_SECONDS = 0.002
"""How long requests may keep coming before those that came are sent."""

PATIENCE = 0.1
"""Share of the time that a call took for which those that it answered may come again and go with
the others: where a call is long, two half as large take nearly twice as long."""

_ITEM_BYTES, _LATENTS = 20, 128

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Waiting:
    """A request that is to be sent, and who waits for its answer."""

    question: pb.RankRequest
    deadline: float
    answer: asyncio.Future[pb.RankResponse]
    n_bytes: int


class Gathering:
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
        self._waiting: deque[_Waiting] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._watching = False
        self._expected = 0
        self._patience: asyncio.TimerHandle | None = None
        self._quiet = 0
        self._send_by = 0.0

    async def ask(self, question: pb.RankRequest, deadline: float) -> pb.RankResponse:
        """The answer to one request.

        Raises:
            RecLensError: why it was refused.
            DeadlineExceeded: there was no answer before ``deadline``, in the loop's time.
        """
        answer = self._add(question, deadline)
        timer = asyncio.get_running_loop().call_at(deadline, _expire, answer)
        try:
            return await answer
        finally:
            timer.cancel()

    async def ask_all(
        self, questions: Sequence[pb.RankRequest], deadline: float
    ) -> list[pb.RankResponse | RecLensError]:
        """The answers to several requests, each answered or refused on its own."""
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        answers = [self._add(question, deadline) for question in questions]
        try:
            await asyncio.wait(answers, timeout=left)
            return [_result(answer) for answer in answers]
        finally:
            for answer in answers:
                # Asked for its error even where nobody wants it: else it is logged as forgotten.
                if not answer.cancel() and not answer.cancelled():
                    answer.exception()

    def _add(self, question: pb.RankRequest, deadline: float) -> asyncio.Future[pb.RankResponse]:
        loop = asyncio.get_running_loop()
        one = _Waiting(question, deadline, loop.create_future(), _n_bytes(question))
        self._waiting.append(one)
        self._quiet = 0
        if self._patience is None:
            self._watch()
        elif len(self._waiting) >= self._expected:
            self._lose_patience()
        return one.answer

    def _watch(self) -> None:
        """See to it that what waits is sent, if it may be, once no more comes."""
        if self._waiting and not self._watching and len(self._calls) < self._hops:
            loop = asyncio.get_running_loop()
            self._watching, self._quiet = True, 0
            self._send_by = loop.time() + GATHER_SECONDS
            loop.call_soon(self._turn)

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        self._quiet += 1
        full = len(self._waiting) >= self._max_batch
        if full or self._quiet > QUIET_TURNS or loop.time() >= self._send_by:
            self._watching = False
            self._start()
        else:
            loop.call_soon(self._turn)

    def _start(self) -> None:
        while self._waiting and len(self._calls) < self._hops:
            batch = self._next_batch()
            if batch:
                loop = asyncio.get_running_loop()
                call = loop.create_task(self._carry(batch))
                self._calls.add(call)
                call.add_done_callback(partial(self._returned, len(batch), loop.time()))

    def _returned(self, size: int, began: float, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if self._watching or self._patience is not None:
            return
        loop = asyncio.get_running_loop()
        patience = PATIENCE * (loop.time() - began)
        expected = min(self._max_batch, len(self._waiting) + size)
        if patience > GATHER_SECONDS and len(self._waiting) < expected:
            self._expected = expected
            self._patience = loop.call_later(patience, self._lose_patience)
        elif len(self._waiting) >= size:
            self._start()
        else:
            self._watch()

    def _lose_patience(self) -> None:
        """Send what waits, whoever has not come."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._start()

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
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

    async def _carry(self, batch: list[_Waiting]) -> None:
        metrics.observe_hop(len(batch))
        metrics.observe_waiting(len(self._waiting))
        now = asyncio.get_running_loop().time()
        for one in batch:
            one.question.timeout_seconds = max(one.deadline - now, 1e-3)
        seconds = max(one.question.timeout_seconds for one in batch)
        try:
            outcomes = await self._send([one.question for one in batch], seconds)
        except Exception as error:
            if not isinstance(error, RecLensError):
                logger.exception("call failed", requests=len(batch))
                error = InternalError("the gateway's call to inference failed.")
            for one in batch:
                _fail(one.answer, _of_request(error, one.question.request_id))
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
                one.answer.set_exception(_refused(outcome.failure))


def _n_bytes(question: pb.RankRequest) -> int:
    """The larger of the request and of the answer that it makes."""
    answer = question.top_k * _ITEM_BYTES * (2 if question.include_baseline else 1)
    if question.include_latents:
        answer += question.top_k * 4 * _LATENTS
    return max(question.ByteSize(), answer)


def _refused(failure: pb.RankFailure) -> RecLensError:
    return from_parts(
        CODES.get(failure.code, grpc.StatusCode.INTERNAL),
        reason=failure.reason,
        message=failure.message,
        field=failure.field,
        remedy=failure.remedy,
        retry_seconds=failure.retry_seconds,
    )


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


def _result(answer: asyncio.Future[pb.RankResponse]) -> pb.RankResponse | RecLensError:
    if not answer.done():
        _expire(answer)
    error = answer.exception()
    if error is None:
        return answer.result()
    if isinstance(error, RecLensError):
        return error
    raise error
