"""StreamRecommend: a session, whose steps are conflated while one is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import Cancelled, InvalidInput, RecLensError
from reclens.platform.grpc.auth import Scope
from reclens.platform.grpc.calls import check_request_id, request_id
from reclens.rpc_status import write_failure
from reclens.steering.limits import MAX_STEP_BYTES
from reclens_gateway.calls.base import requires
from reclens_gateway.calls.recommending import RecommendingCalls


class SessionCalls(RecommendingCalls):
    """Sessions."""

    # Sessions are there for edits.
    @requires(Scope.STEER, max_bytes=MAX_STEP_BYTES)
    async def StreamRecommend(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.StreamRecommendRequest], context: Any
    ) -> AsyncIterator[pb.StreamRecommendResponse]:
        steps = ConflatedSteps()
        reading = asyncio.create_task(steps.read(request_iterator))
        session = asyncio.current_task()
        assert session is not None
        asked: pb.RecommendRequest | None = None
        try:
            while (step := await steps.next(self.session_idle_seconds)) is not None:
                response = pb.StreamRecommendResponse(
                    sequence=step.request.sequence, superseded=step.superseded
                )
                try:
                    asked = await self._answer(step, asked, context, response)
                except RecLensError as error:
                    write_failure(error, response.failure)
                # While the caller does not read, nothing more is answered; then it is let go.
                idle_timer = asyncio.get_running_loop().call_later(
                    self.session_idle_seconds, session.cancel
                )
                try:
                    yield response
                finally:
                    idle_timer.cancel()
            # Its own end of the stream, or what was wrong with it.
            await reading
        finally:
            reading.cancel()

    async def _answer(
        self,
        step: SessionStep,
        asked: pb.RecommendRequest | None,
        context: Any,
        response: pb.StreamRecommendResponse,
    ) -> pb.RecommendRequest:
        """Answer a step.

        Returns:
            What was asked, for the next step to change.
        """
        request = step.applied(asked)
        check_request_id(request.request_id)
        identifier = request.request_id or f"{request_id()}/{step.request.sequence}"
        # The stream's own deadline is that of the whole session.
        deadline = min(self.deadline(context), self.default_deadline())
        response.response.CopyFrom(await self.recommended(request, deadline, identifier))
        return request


@dataclass(frozen=True)
class SessionStep:
    """What is to be answered next."""

    request: pb.StreamRecommendRequest
    """The newest step, with what it leaves as those before it had it."""
    superseded: int = 0
    """Earlier steps that get no answer."""

    def applied(self, asked: pb.RecommendRequest | None) -> pb.RecommendRequest:
        """What is asked now, after ``asked``.

        Raises:
            InvalidInput: the step says nothing, or changes what was never asked.
        """
        match self.request.WhichOneof("step"):
            case "start":
                return self.request.start
            case None:
                raise InvalidInput(
                    "the step says nothing.", field="step", remedy="send a start or an update."
                )
        if asked is None:
            raise InvalidInput(
                "there is nothing to change yet.",
                field="update",
                remedy="begin the session with a start.",
            )
        return changed(asked, self.request.update)


def changed(asked: pb.RecommendRequest, update: pb.SessionUpdate) -> pb.RecommendRequest:
    """A copy of ``asked`` with what ``update`` names in place of what was there."""
    request = pb.RecommendRequest()
    request.CopyFrom(asked)
    if update.HasField("edits"):
        del request.edits[:]
        request.edits.extend(update.edits.edits)
    if update.HasField("constraints"):
        request.constraints.CopyFrom(update.constraints)
    if update.top_k:
        request.top_k = update.top_k
    return request


class ConflatedSteps:
    """A queue that holds one step: those that come while it waits are merged into it, so that
    however fast they come, they take up no more."""

    def __init__(self) -> None:
        self._waiting: SessionStep | None = None
        self._ended = False
        self._changed = asyncio.Event()

    async def read(self, requests: AsyncIterator[pb.StreamRecommendRequest]) -> None:
        """Take all steps of a caller as they come."""
        try:
            async for request in requests:
                self.put(request)
        finally:
            self._ended = True
            self._changed.set()

    def put(self, request: pb.StreamRecommendRequest) -> None:
        """Take one step, in place of the one that waits."""
        overtaken = self._waiting
        if overtaken is None:
            self._waiting = SessionStep(request)
        else:
            merged = _merged(overtaken.request, request)
            self._waiting = SessionStep(merged, overtaken.superseded + 1)
        self._changed.set()

    async def next(self, idle_seconds: float) -> SessionStep | None:
        """The newest step; None when no more come.

        Raises:
            Cancelled: nothing came for ``idle_seconds`` seconds.
        """
        while self._waiting is None:
            if self._ended:
                return None
            self._changed.clear()
            try:
                async with asyncio.timeout(idle_seconds):
                    await self._changed.wait()
            except TimeoutError:
                raise Cancelled(
                    f"the session was idle for {idle_seconds:g} s.",
                    remedy="open a new one when there is something to ask.",
                ) from None
        step, self._waiting = self._waiting, None
        return step


def _merged(
    overtaken: pb.StreamRecommendRequest, newest: pb.StreamRecommendRequest
) -> pb.StreamRecommendRequest:
    """``newest``; where it is an update, what it leaves as it is stays as ``overtaken`` had it."""
    if not newest.HasField("update"):
        return newest
    merged = pb.StreamRecommendRequest(sequence=newest.sequence)
    if overtaken.HasField("start"):
        merged.start.CopyFrom(changed(overtaken.start, newest.update))
        return merged
    update = newest.update
    merged.update.CopyFrom(overtaken.update)
    if update.HasField("edits"):
        merged.update.edits.CopyFrom(update.edits)
    if update.HasField("constraints"):
        merged.update.constraints.CopyFrom(update.constraints)
    merged.update.top_k = update.top_k or merged.update.top_k
    return merged
