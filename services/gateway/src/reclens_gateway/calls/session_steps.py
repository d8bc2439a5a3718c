"""Steps of a session: those that wait while one is answered become one, the newest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import Cancelled, InvalidInput


@dataclass
class Step:
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


class NewestStep:
    """Holds the steps that wait, merged into one: however fast they come, they take up no more."""

    def __init__(self) -> None:
        self._waiting: Step | None = None
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
        step = Step(request.sequence)
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

    async def next(self, patience: float) -> Step | None:
        """The newest step; None when no more come.

        Raises:
            Cancelled: nothing came for ``patience`` seconds.
        """
        while self._waiting is None:
            if self._ended:
                return None
            self._changed.clear()
            try:
                async with asyncio.timeout(patience):
                    await self._changed.wait()
            except TimeoutError:
                raise Cancelled(
                    f"the session was idle for {patience:g} s.",
                    remedy="open a new one when there is something to ask.",
                ) from None
        step, self._waiting = self._waiting, None
        return step


def _build_on(overtaken: Step, step: Step) -> None:
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
