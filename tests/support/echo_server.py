"""A small guarded server for tests of what is around handlers: answers that name their caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc import aio

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.platform.grpc.auth import Rule, Scope
from reclens.platform.grpc.calls import caller, request_id, traceparent
from reclens.platform.grpc.server import GrpcServer, ServerSettings

NAME = "test.Echo"
RULES = {
    "Recommend": Rule(lambda request: Scope.STEER if request.edits else Scope.READ),
    "Delete": Rule(Scope.ADMIN),
    "Session": Rule(Scope.STEER),
}


class Echo:
    """Answers at once; ``wait`` waits until ``go`` is set."""

    def __init__(self) -> None:
        self.entered = asyncio.Semaphore(0)
        self.go = asyncio.Event()

    async def recommend(self, request: pb.RecommendRequest, _context: Any) -> pb.RecommendResponse:
        if request.subject.user_id == "wait":
            self.entered.release()
            await self.go.wait()
        if request.subject.user_id == "fail":
            raise KeyError("a secret")
        return answer()

    async def session(
        self, requests: AsyncIterator[pb.StreamRecommendRequest], _context: Any
    ) -> AsyncIterator[pb.StreamRecommendResponse]:
        async for request in requests:
            if request.start.subject.user_id == "wait":
                self.entered.release()
                await self.go.wait()
            if request.start.subject.user_id == "fail":
                raise KeyError("a secret")
            yield pb.StreamRecommendResponse(sequence=request.sequence, response=answer())


def answer() -> pb.RecommendResponse:
    """Says who called under which id, and the trace to go on with."""
    return pb.RecommendResponse(
        request_id=request_id(),
        policy=pb.PolicyRef(policy_id=caller()),
        versions=pb.Versions(release=traceparent()),
    )


def register(echo: Echo, server: Any) -> None:
    """As generated code does."""
    unary = grpc.unary_unary_rpc_method_handler(
        echo.recommend, pb.RecommendRequest.FromString, pb.RecommendResponse.SerializeToString
    )
    session = grpc.stream_stream_rpc_method_handler(
        echo.session,
        pb.StreamRecommendRequest.FromString,
        pb.StreamRecommendResponse.SerializeToString,
    )
    handlers = {"Recommend": unary, "Delete": unary, "Session": session}
    server.add_generic_rpc_handlers(())
    server.add_registered_method_handlers(NAME, handlers)


class Caller:
    """Calls it over one channel."""

    def __init__(self, channel: aio.Channel) -> None:
        self.channel = channel
        self.recommend = channel.unary_unary(
            f"/{NAME}/Recommend",
            pb.RecommendRequest.SerializeToString,
            pb.RecommendResponse.FromString,
        )
        self.delete = channel.unary_unary(
            f"/{NAME}/Delete",
            pb.RecommendRequest.SerializeToString,
            pb.RecommendResponse.FromString,
        )
        self.raw = channel.unary_unary(f"/{NAME}/Recommend")
        self.session = channel.stream_stream(
            f"/{NAME}/Session",
            pb.StreamRecommendRequest.SerializeToString,
            pb.StreamRecommendResponse.FromString,
        )


class Running:
    """A server that is up."""

    def __init__(self, server: GrpcServer, echo: Echo, address: str) -> None:
        self.server = server
        self.echo = echo
        self.address = address


@asynccontextmanager
async def echo_server(**settings: Any) -> AsyncIterator[Running]:
    """The server for the life of the block."""
    given = {"listen": "127.0.0.1:0", "drain_seconds": 5, **settings}
    server, echo = GrpcServer(ServerSettings(**given)), Echo()
    server.add(register, echo, NAME, RULES)
    address = await server.start()
    await server.set_serving(NAME, True)
    try:
        yield Running(server, echo, address)
    finally:
        echo.go.set()
        await server.stop(0)


@asynccontextmanager
async def calling(running: Running) -> AsyncIterator[Caller]:
    """A plain channel to it for the life of the block."""
    async with aio.insecure_channel(running.address) as channel:
        yield Caller(channel)


def ask(user: str = "u", *, edits: int = 0, **fields: Any) -> pb.RecommendRequest:
    """A request of the echo."""
    return pb.RecommendRequest(
        subject=pb.Subject(user_id=user),
        edits=[pb.Edit(latent=1, add=0.4)] * edits,
        **fields,
    )


async def refused(call: Any) -> aio.AioRpcError:
    """The error that ``call`` ends with."""
    try:
        await call
    except aio.AioRpcError as error:
        return error
    raise AssertionError("it was answered")
