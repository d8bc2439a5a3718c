"""StreamRecommend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import RecLensError
from reclens.platform.grpc.calls import check_request_id, request_id
from reclens_gateway.calls.answering import failure_of
from reclens_gateway.calls.recommending import RecommendingCalls
from reclens_gateway.calls.session_steps import NewestStep, Step


class StreamingCalls(RecommendingCalls):
    """Sessions."""

    async def StreamRecommend(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.StreamRecommendRequest], context: Any
    ) -> AsyncIterator[pb.StreamRecommendResponse]:
        steps = NewestStep()
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
                patience = asyncio.get_running_loop().call_later(
                    self.session_idle_seconds, session.cancel
                )
                try:
                    yield response
                finally:
                    patience.cancel()
            # Its own end of the stream, or what was wrong with it.
            await reading
        finally:
            reading.cancel()

    async def _answer(
        self,
        step: Step,
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
