"""Sessions of the client for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from grpc import aio

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client.connection import Connection
from reclens.client.session import SessionAnswer, answer_of, update_step
from reclens.errors import Cancelled

_WRITTEN_TOO_LATE = "Internal error from Core"
"""What gRPC says of a write to a stream that the server has ended, in place of the status."""


class AsyncSession:
    """An open session; arguments and errors as `reclens.client.Session`."""

    def __init__(
        self,
        call: Callable[..., Any],
        connection: Connection,
        start: pb.RecommendRequest,
        timeout: float,
    ) -> None:
        self._connection = connection
        self._start = start
        self._sequence = 0
        self._call = call(timeout=connection.seconds(timeout), metadata=connection.metadata)

    async def send(
        self,
        *,
        edits: Iterable[pb.Edit] | None = None,
        exclude: Iterable[str] | None = None,
        limits: Mapping[str, int] | None = None,
        top_k: int = 0,
    ) -> int:
        """Change what is asked; what is not given stays as it is."""
        self._sequence += 1
        await self._write(update_step(self._sequence, edits, exclude, limits, top_k))
        return self._sequence

    def __aiter__(self) -> AsyncIterator[SessionAnswer]:
        return self

    async def __anext__(self) -> SessionAnswer:
        try:
            message = await self._call.read()
        except aio.AioRpcError as error:
            raise self._connection.error(error) from error
        if message is aio.EOF:  # pyright: ignore[reportAttributeAccessIssue]
            raise StopAsyncIteration
        return answer_of(message)

    async def ask(self, **change: Any) -> pb.RecommendResponse:
        """`send` a change and wait for its answer. Answers to steps before it are passed over."""
        sequence = await self.send(**change)
        async for answer in self:
            if answer.sequence == sequence:
                return answer.result()
        raise Cancelled("the session has ended.", remedy="open a new one.")

    async def end(self) -> None:
        """Send no more: the answers end after the one to the last step."""
        await self._call.done_writing()

    def close(self) -> None:
        """Give the session up, with what is not answered yet."""
        self._call.cancel()

    async def __aenter__(self) -> Self:
        self._sequence = 1
        await self._write(pb.StreamRecommendRequest(sequence=1, start=self._start))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def _write(self, step: pb.StreamRecommendRequest) -> None:
        try:
            await self._call.write(step)
        except aio.AioRpcError as error:
            if error.details() == _WRITTEN_TOO_LATE:
                raise Cancelled("the session has ended.", remedy="open a new one.") from error
            raise self._connection.error(error) from error
