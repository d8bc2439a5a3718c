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
from reclens_gateway.calls.answers import failure_of
from reclens_gateway.calls.base import requires
from reclens_gateway.calls.recommending import RecommendingCalls


class SessionCalls(RecommendingCalls):
    """Sessions."""

    # Sessions are there for edits.
    @requires(Scope.STEER)
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
                    sequence=step.sequence, superseded=step.superseded
                )
                try:
                    asked = await self._answer(step, asked, context, response)
                except RecLensError as error:
                    response.failure.CopyFrom(failure_of(error))
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
        identifier = request.request_id or f"{request_id()}/{step.sequence}"
        # The stream's own deadline is that of the whole session.
        deadline = min(self.deadline(context), self.default_deadline())
        response.response.CopyFrom(await self.recommended(request, deadline, identifier))
        return request


@dataclass
class SessionStep:
    """What is to be answered next."""

    sequence: int
    """Caller's number of the newest step in it."""
    start: pb.RecommendRequest | None = None
    """Everything that is asked; None: a change of what was asked last."""
    update: pb.SessionUpdate | None = None
    """The change."""
    superseded: int = 0
    """Earlier steps that get no answer."""

    def applied(self, asked: pb.RecommendRequest | None) -> pb.RecommendRequest:
        """What is asked now, after ``asked``.

        Raises:
            InvalidInput: the step says nothing, or changes what was never asked.
        """
        if self.start is not None:
            return self.start
        if self.update is None:
            raise InvalidInput(
                "the step says nothing.", field="step", remedy="send a start or an update."
            )
        if asked is None:
            raise InvalidInput(
                "there is nothing to change yet.",
                field="update",
                remedy="begin the session with a start.",
            )
        return changed(asked, self.update)


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
        step = SessionStep(request.sequence)
        match request.WhichOneof("step"):
            case "start":
                step.start = request.start
            case "update":
                step.update = request.update
                if overtaken is not None:
                    _build_on(overtaken, step)
            case _:
                pass
        if overtaken is not None:
            step.superseded = overtaken.superseded + 1
        self._waiting = step
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


def _build_on(overtaken: SessionStep, step: SessionStep) -> None:
    """Keep of an overtaken step what the update ``step`` leaves as it is."""
    update = step.update
    assert update is not None
    if overtaken.start is not None:
        step.start, step.update = changed(overtaken.start, update), None
    elif overtaken.update is not None:
        merged = pb.SessionUpdate()
        merged.CopyFrom(overtaken.update)
        if update.HasField("edits"):
            merged.edits.CopyFrom(update.edits)
        if update.HasField("constraints"):
            merged.constraints.CopyFrom(update.constraints)
        merged.top_k = update.top_k or merged.top_k
        step.update = merged
