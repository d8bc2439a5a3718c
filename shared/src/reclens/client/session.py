"""Sessions: edits change as somebody moves a slider, and each change is answered."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client.connection import Connection
from reclens.client.requests import constraints
from reclens.errors import Cancelled, RecLensError
from reclens.rpc_status import CODES, from_parts


@dataclass(frozen=True)
class SessionAnswer:
    """What became of a step."""

    sequence: int
    """Number of the step, as `send` returned it."""
    superseded: int
    """Earlier steps that get no answer, as this one overtook them."""
    response: pb.RecommendResponse | None
    """The answer; None where the step was refused."""
    error: RecLensError | None
    """Why it was refused; what was asked before still stands."""

    def result(self) -> pb.RecommendResponse:
        """The answer.

        Raises:
            RecLensError: the step was refused.
        """
        if self.error is not None:
            raise self.error
        assert self.response is not None
        return self.response


def answer_of(message: pb.StreamRecommendResponse) -> SessionAnswer:
    """A message of the stream."""
    refused = message.WhichOneof("outcome") == "failure"
    return SessionAnswer(
        sequence=message.sequence,
        superseded=message.superseded,
        response=None if refused else message.response,
        error=failure_error(message.failure) if refused else None,
    )


def failure_error(failure: pb.RecommendFailure) -> RecLensError:
    """The error that an entry, a variant or a step was refused with."""
    return from_parts(
        CODES.get(failure.code, grpc.StatusCode.UNKNOWN),
        reason=failure.reason,
        message=failure.message,
        field=failure.field,
        retry_seconds=failure.retry_seconds,
    )


def update_step(
    sequence: int,
    edits: Iterable[pb.Edit] | None,
    exclude: Iterable[str] | None,
    limits: Mapping[str, int] | None,
    top_k: int,
) -> pb.StreamRecommendRequest:
    """A change of what was asked last; None leaves a part as it is.

    Constraints are one part: of ``exclude`` and ``limits`` the one that is not given is emptied.
    """
    update = pb.SessionUpdate(top_k=top_k)
    if edits is not None:
        update.edits.CopyFrom(pb.EditList(edits=edits))
    if exclude is not None or limits is not None:
        limited = constraints(exclude or (), limits or {})
        update.constraints.CopyFrom(limited or pb.Constraints())
    return pb.StreamRecommendRequest(sequence=sequence, update=update)


class Session:
    """An open session of the blocking client: `send` changes, and iterate over the answers.

    Where changes come faster than answers only the newest is answered. One thread may send while
    another reads.

    Raises (while reading):
        RecLensError: the session ended with it.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        connection: Connection,
        start: pb.RecommendRequest,
        timeout: float,
    ) -> None:
        self._connection = connection
        self._steps: queue.SimpleQueue[pb.StreamRecommendRequest | None] = queue.SimpleQueue()
        self._sequence = 1
        self._steps.put(pb.StreamRecommendRequest(sequence=1, start=start))
        self._call = call(
            iter(self._steps.get, None),
            timeout=connection.seconds(timeout),
            metadata=connection.metadata,
        )

    def send(
        self,
        *,
        edits: Iterable[pb.Edit] | None = None,
        exclude: Iterable[str] | None = None,
        limits: Mapping[str, int] | None = None,
        top_k: int = 0,
    ) -> int:
        """Change what is asked; what is not given stays as it is.

        Args:
            edits: in place of all edits before.
            exclude: with ``limits`` in place of the constraints before.
            limits: see ``exclude``.
            top_k: items to return. 0: as before.

        Returns:
            Number of the step, which its answer carries.
        """
        self._sequence += 1
        self._steps.put(update_step(self._sequence, edits, exclude, limits, top_k))
        return self._sequence

    def __iter__(self) -> Iterator[SessionAnswer]:
        return self

    def __next__(self) -> SessionAnswer:
        try:
            return answer_of(next(self._call))
        except grpc.RpcError as error:
            raise self._connection.error(error) from error

    def ask(self, **change: Any) -> pb.RecommendResponse:
        """`send` a change and wait for its answer. Answers to steps before it are passed over.

        Raises:
            RecLensError: the change was refused; the session goes on.
        """
        sequence = self.send(**change)
        for answer in self:
            if answer.sequence == sequence:
                return answer.result()
        raise Cancelled("the session has ended.", remedy="open a new one.")

    def end(self) -> None:
        """Send no more: the answers end after the one to the last step."""
        self._steps.put(None)

    def close(self) -> None:
        """Give the session up, with what is not answered yet."""
        self.end()
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
