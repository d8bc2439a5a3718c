"""What every call passes, unary or stream, over a real wire."""

from __future__ import annotations

import asyncio

import grpc
import pytest
import structlog
from echo_server import NAME, RULES, ask, calling, echo_server, refused, register
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import Overloaded
from reclens.platform.grpc.interceptor import Interceptor
from reclens.rpc_status import error_of


def details(error: aio.AioRpcError) -> status_pb2.Status:
    trailers = dict(error.trailing_metadata() or ())
    return status_pb2.Status.FromString(trailers["grpc-status-details-bin"])


def metadata_of(error: aio.AioRpcError) -> dict[str, str]:
    info = error_details_pb2.ErrorInfo()
    assert details(error).details[0].Unpack(info)
    return dict(info.metadata)


async def test_id_comes_from_the_message_else_the_header_else_is_made() -> None:
    async with echo_server() as running, calling(running) as caller:
        header = (("x-request-id", "from-header"),)
        assert (
            await caller.recommend(ask(request_id="mine"), metadata=header)
        ).request_id == "mine"
        assert (await caller.recommend(ask(), metadata=header)).request_id == "from-header"
        made = {(await caller.recommend(ask())).request_id for _ in range(3)}
        assert len(made) == 3
        assert "" not in made
        long = await refused(caller.recommend(ask(request_id="x" * 129)))
        assert long.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert len(metadata_of(long)["request_id"]) <= 128


@pytest.mark.parametrize("message", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x12\x50\x00"])
async def test_bytes_that_are_no_message_are_the_callers_fault(message: bytes) -> None:
    async with echo_server() as running, calling(running) as caller:
        assert (await refused(caller.raw(message))).code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_fault_of_a_handler_tells_its_id_and_nothing_else() -> None:
    async with echo_server() as running, calling(running) as caller:
        error = await refused(caller.recommend(ask("fail", request_id="r-1")))
        assert error.code() == grpc.StatusCode.INTERNAL
        assert "r-1" in (error.details() or "")
        assert "secret" not in (error.details() or "")
        call = caller.session(iter([pb.StreamRecommendRequest(start=ask("fail"))]))
        with pytest.raises(aio.AioRpcError) as failed:
            await call.read()
        assert failed.value.code() == grpc.StatusCode.INTERNAL
        assert "secret" not in (failed.value.details() or "")


async def test_session_is_answered_step_by_step_under_one_id() -> None:
    async with echo_server() as running, calling(running) as caller:
        steps = [pb.StreamRecommendRequest(sequence=n, start=ask()) for n in (4, 5)]
        call = caller.session(iter(steps), metadata=(("x-request-id", "session-1"),))
        answers = [one async for one in call]
        assert [one.sequence for one in answers] == [4, 5]
        assert {one.response.request_id for one in answers} == {"session-1"}
        assert await call.code() == grpc.StatusCode.OK


async def test_message_of_a_session_that_is_none_ends_it() -> None:
    async with echo_server() as running, aio.insecure_channel(running.address) as channel:
        call = channel.stream_stream(f"/{NAME}/Session")(iter([b"\xff\xff"]))
        with pytest.raises(aio.AioRpcError) as failed:
            await call.read()
        assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_as_many_are_admitted_as_allowed_and_the_rest_told_when_to_come_back() -> None:
    async with echo_server(admission={"max_running": 3}) as running, calling(running) as caller:
        waiting = [asyncio.ensure_future(caller.recommend(ask("wait"))) for _ in range(3)]
        for _ in waiting:
            await running.echo.entered.acquire()
        named = (("x-request-id", "too-many"),)
        calls = [caller.recommend(ask(), metadata=named) for _ in range(5)]
        errors = await asyncio.gather(*(refused(call) for call in calls))
        for error in errors:
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            trailers = [(str(key), value) for key, value in error.trailing_metadata() or ()]
            rebuilt = error_of(error.code(), error.details(), trailers, "the server")
            assert type(rebuilt) is Overloaded
            assert rebuilt.retry_seconds > 0
            assert metadata_of(error)["request_id"] == "too-many"
        # Whoever asks how the server is gets an answer also then.
        stub = health_pb2_grpc.HealthStub(caller.channel)
        health = await stub.Check(health_pb2.HealthCheckRequest())  # pyright: ignore
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        running.echo.go.set()
        assert len(await asyncio.gather(*waiting)) == 3
        await caller.recommend(ask())


async def test_so_many_sessions_are_open_at_once() -> None:
    async with echo_server(admission={"max_sessions": 1}) as running, calling(running) as caller:
        first = caller.session()
        await first.write(pb.StreamRecommendRequest(sequence=1, start=ask()))
        await first.read()
        second = caller.session(iter([]))
        assert await second.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        await first.done_writing()
        assert await first.code() == grpc.StatusCode.OK
        third = caller.session(iter([]))
        assert await third.code() == grpc.StatusCode.OK


def test_method_without_a_rule_is_no_open_method() -> None:
    class Server:
        def add_generic_rpc_handlers(self, _handlers: object) -> None: ...

        def add_registered_method_handlers(self, name: str, handlers: dict) -> None:
            self.added = (name, handlers)

    server = Server()
    register(type("Nothing", (), {"recommend": None, "session": None})(), server)  # pyright: ignore
    rules = {method: rule for method, rule in RULES.items() if method != "Delete"}
    with pytest.raises(ValueError, match="Delete"):
        Interceptor().add(*server.added, rules)


async def test_refusals_are_logged_without_what_the_caller_wrote() -> None:
    with structlog.testing.capture_logs() as lines:
        async with echo_server(log={"access": "on"}) as running, calling(running) as caller:
            await refused(caller.recommend(ask("user-4711", request_id="x" * 200)))
            await caller.recommend(ask("user-4711", edits=2, release="r1", request_id="r-2"))
    refusal = next(line for line in lines if line["event"] == "refused")
    assert (refusal["code"], refusal["field"]) == ("INVALID_ARGUMENT", "request_id")
    done = next(line for line in lines if line["event"] == "request" and line["code"] == "OK")
    assert (done["edits"], done["release"], done["request_id"]) == (2, "r1", "r-2")
    assert done["method"] == f"/{NAME}/Recommend"
    assert "user-4711" not in str(lines)


async def test_refusals_beyond_so_many_a_second_are_counted_only() -> None:
    with structlog.testing.capture_logs() as lines:
        async with echo_server() as running, calling(running) as caller:
            for _ in range(60):
                await refused(caller.raw(b"\xff"))
    # All 60 take well below two seconds; 20 are written in each.
    assert 20 <= sum(line["event"] == "refused" for line in lines) < 60
