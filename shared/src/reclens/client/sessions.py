"""What both clients' sessions are made of: steps, answers, and a stream of either kind."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from grpc import aio

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client.requests import constraints
from reclens.errors import RecLensError
from reclens.rpc_status import failure_error

END: Final[Any] = aio.EOF  # pyright: ignore[reportAttributeAccessIssue]
"""What a stream reads after the last answer."""


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
        limited = constraints(exclude, limits)
        update.constraints.CopyFrom(limited or pb.Constraints())
    return pb.StreamRecommendRequest(sequence=sequence, update=update)


def open_stream(method: Any, **options: Any) -> Any:
    """Open a bidirectional stream of ``grpc.aio``."""
    return method(**options)


class BlockingStream:
    """A blocking bidirectional stream with the verbs of one of ``grpc.aio``: gRPC itself wants an
    iterator of all that will be written. One thread may write while another reads."""

    def __init__(self, method: Any, **options: Any) -> None:
        self._written: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._call = method(iter(self._written.get, None), **options)

    def write(self, message: Any) -> None:
        """Send a message, or let it wait until gRPC takes it."""
        self._written.put(message)

    def read(self) -> Any:
        """The next message; `END` after the last.

        Raises:
            grpc.RpcError: the call has failed.
        """
        return next(self._call, END)

    def done_writing(self) -> None:
        """Send no more."""
        self._written.put(None)

    def cancel(self) -> None:
        """Give the call up."""
        self.done_writing()
        self._call.cancel()
