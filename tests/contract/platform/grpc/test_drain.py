"""A server that is stopped: what is under way is answered, sessions end so that they go on
elsewhere."""

from __future__ import annotations

import asyncio

import grpc
from echo_server import ask, calling, echo_server
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reclens.api.steering.v1 import steering_pb2 as pb

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def test_requests_under_way_are_answered_and_new_ones_refused() -> None:
    async with echo_server() as running, calling(running) as caller:
        waiting = [asyncio.ensure_future(caller.recommend(ask("wait"))) for _ in range(5)]
        for _ in waiting:
            await running.echo.entered.acquire()
        stopping = asyncio.ensure_future(running.server.stop())
        async with calling(running) as late:
            # Refused as soon as the server has closed its door.
            while (await late.recommend(ask(), timeout=1).code()) == grpc.StatusCode.OK:
                pass
        assert not stopping.done()
        assert not any(one.done() for one in waiting)
        running.echo.go.set()
        assert len(await asyncio.gather(*waiting)) == 5
        await stopping


async def test_balancers_are_told_first_and_calls_are_taken_meanwhile() -> None:
    async with echo_server(lame_duck_seconds=0.5) as running, calling(running) as caller:
        health = health_pb2_grpc.HealthStub(caller.channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())  # pyright: ignore
        states = aiter(watch)
        assert (await anext(states)).status == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.ensure_future(running.server.stop())
        assert (await anext(states)).status == NOT_SERVING
        await caller.recommend(ask())
        assert not stopping.done()
        watch.cancel()
        await stopping


async def test_session_is_ended_after_its_step_and_may_be_opened_elsewhere() -> None:
    async with echo_server() as running, calling(running) as caller:
        busy, idle = caller.session(), caller.session()
        for session, user in ((busy, "wait"), (idle, "u")):
            start = pb.StreamRecommendRequest(sequence=1, start=ask(user))
            await session.write(start)
        assert (await idle.read()).sequence == 1
        await running.echo.entered.acquire()
        stopping = asyncio.ensure_future(running.server.stop())
        # One with nothing under way ends at once, one with a step when that has been answered.
        assert await idle.code() == grpc.StatusCode.UNAVAILABLE
        running.echo.go.set()
        assert (await busy.read()).sequence == 1
        assert await busy.code() == grpc.StatusCode.UNAVAILABLE
        await stopping
        for session in (busy, idle):
            trailers = dict(await session.trailing_metadata())
            status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            assert status.details[0].Unpack(info)
            assert info.metadata["retryable"] == "true"
            assert status.details[1].Unpack(retry)
