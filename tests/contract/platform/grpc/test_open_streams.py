"""A stream lasts while its client may have it, and no longer than streams may last."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import pytest
from echo_server import Caller, Running, ask, calling, echo_server
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.platform.grpc.auth import Scope, TokenEntry, digest, new_token, write_tokens
from reclens.platform.grpc.tls import bearer

STEER = frozenset({Scope.STEER})
STEP = pb.StreamRecommendRequest(sequence=1, start=ask())


class Clients:
    """A file of tokens."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.tokens = {name: new_token() for name in ("shop", "other")}
        self.write("shop", "other")

    def write(self, *names: str, **changes: Any) -> None:
        entries = [
            TokenEntry(client=name, sha256=digest(self.tokens[name]), scopes=STEER)
            for name in names
        ]
        write_tokens(self.file, [entry.model_copy(update=changes) for entry in entries])

    def server(self, **admission: Any) -> Any:
        return echo_server(auth={"tokens_file": self.file}, admission=admission)


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path / "tokens.json")


async def opened(caller: Caller, token: str) -> Any:
    """A session that has answered once."""
    session = caller.session(metadata=bearer(token))
    await session.write(STEP)
    await session.read()
    return session


async def ending(session: Any) -> tuple[grpc.StatusCode, float]:
    """How it ended, and after how many seconds."""
    began = monotonic()
    async with asyncio.timeout(20):
        return await session.code(), monotonic() - began


async def test_revoked_token_ends_its_sessions_and_no_other(clients: Clients) -> None:
    async with clients.server() as running, calling(running) as caller:
        idle = await opened(caller, clients.tokens["shop"])
        other = await opened(caller, clients.tokens["other"])
        # One that is under way, and never ends by itself.
        busy = caller.session(metadata=bearer(clients.tokens["shop"]))
        await busy.write(pb.StreamRecommendRequest(start=ask("wait")))
        await running.echo.entered.acquire()
        clients.write("other")
        for session in (idle, busy):
            code, seconds = await ending(session)
            assert code == grpc.StatusCode.UNAUTHENTICATED
            assert seconds < 5
        assert running.server._interceptor.sessions.open == 1
        await other.write(STEP)
        assert (await other.read()).sequence == 1


async def test_step_after_the_revocation_gets_no_answer(clients: Clients) -> None:
    async with clients.server() as running, calling(running) as caller:
        session = await opened(caller, clients.tokens["shop"])
        clients.write("other")
        book = running.server._tokens
        assert book is not None
        book.refresh()
        await session.write(STEP)
        with pytest.raises(aio.AioRpcError) as refused:
            await session.read()
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_session_ends_when_its_token_does(clients: Clients) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    clients.write("shop", "other", expires=soon)
    async with clients.server() as running, calling(running) as caller:
        session = await opened(caller, clients.tokens["shop"])
        code, seconds = await ending(session)
        assert code == grpc.StatusCode.UNAUTHENTICATED
        assert datetime.now(UTC) >= soon
        assert seconds < 2 + 5


async def test_right_that_is_taken_away_ends_sessions(clients: Clients) -> None:
    async with clients.server() as running, calling(running) as caller:
        session = await opened(caller, clients.tokens["shop"])
        clients.write("shop", "other", scopes=frozenset({Scope.READ}))
        code, seconds = await ending(session)
        assert code == grpc.StatusCode.PERMISSION_DENIED
        assert seconds < 5


async def test_revoked_client_that_does_not_read_is_let_go(clients: Clients) -> None:
    async with clients.server() as running, calling(running) as caller:
        session = caller.session(metadata=bearer(clients.tokens["shop"]))

        async def pour() -> None:
            while True:
                await session.write(STEP)

        pouring = asyncio.create_task(pour())
        await until(running, 1)
        await asyncio.sleep(1)
        clients.write("other")
        await until(running, 0)
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)
        session.cancel()


async def until(running: Running, open_streams: int) -> None:
    async with asyncio.timeout(5):
        while running.server._interceptor.sessions.open != open_streams:
            await asyncio.sleep(0.02)


async def test_client_has_so_many_sessions_and_others_theirs(clients: Clients) -> None:
    async with (
        clients.server(max_sessions=3, max_client_sessions=2) as running,
        calling(running) as caller,
    ):
        for _ in range(2):
            await opened(caller, clients.tokens["shop"])
        code, _ = await ending(caller.session(metadata=bearer(clients.tokens["shop"])))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        await opened(caller, clients.tokens["other"])


async def test_last_steps_of_a_client_take_bounded_memory(clients: Clients) -> None:
    large = pb.StreamRecommendRequest(sequence=1, start=ask("u" * 60_000))
    async with clients.server(max_body_bytes=200_000) as running, calling(running) as caller:
        first, second = [await opened(caller, clients.tokens["shop"]) for _ in range(2)]
        for _ in range(3):  # A step takes the place of the one before.
            await first.write(large)
            assert await first.read() is not aio.EOF
        await second.write(large)
        code, _ = await ending(second)
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        # What another client has is its own, and what was kept is free once its session has ended.
        other = await opened(caller, clients.tokens["other"])
        await other.write(large)
        assert await other.read() is not aio.EOF
        await first.done_writing()
        await ending(first)
        third = await opened(caller, clients.tokens["shop"])
        await third.write(large)
        assert await third.read() is not aio.EOF


async def test_who_has_no_right_takes_no_slot(clients: Clients) -> None:
    clients.write("shop", scopes=frozenset({Scope.READ}))
    async with clients.server(max_sessions=1) as running, calling(running) as caller:
        # It sends nothing, so that nothing but its token can be looked at.
        session = caller.session(metadata=bearer(clients.tokens["shop"]))
        code, _ = await ending(session)
        assert code == grpc.StatusCode.PERMISSION_DENIED
        assert running.server._interceptor.sessions.open == 0


async def test_streams_do_not_last_for_ever(clients: Clients) -> None:
    async with clients.server(session_seconds=1) as running, calling(running) as caller:
        session = await opened(caller, clients.tokens["shop"])
        code, seconds = await ending(session)
        assert code == grpc.StatusCode.UNAVAILABLE
        assert 0.5 < seconds < 5


async def test_streams_on_which_nothing_passes_are_ended(clients: Clients) -> None:
    async with clients.server(idle_seconds=2) as running, calling(running) as caller:
        quiet = await opened(caller, clients.tokens["shop"])
        used = await opened(caller, clients.tokens["shop"])
        waiting = asyncio.ensure_future(ending(quiet))
        while not waiting.done():
            await used.write(STEP)
            assert await used.read() is not aio.EOF
            await asyncio.sleep(0.2)
        assert (await waiting)[0] == grpc.StatusCode.CANCELLED


async def test_watchers_of_health_are_told_and_are_not_many() -> None:
    async with echo_server() as running, calling(running) as caller:
        stub = health_pb2_grpc.HealthStub(caller.channel)
        request = health_pb2.HealthCheckRequest()  # pyright: ignore
        watchers = [stub.Watch(request) for _ in range(8)]
        for watcher in watchers:
            assert (await watcher.read()).status == health_pb2.HealthCheckResponse.SERVING
        assert (await ending(stub.Watch(request)))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
        await running.server.set_serving("test.Echo", False)
        for watcher in watchers:
            assert (await watcher.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        unknown = stub.Check(health_pb2.HealthCheckRequest(service="x"))  # pyright: ignore
        assert await unknown.code() == grpc.StatusCode.NOT_FOUND
