"""Strangers, and clients that never end what they began to send, take little memory and no places.

Against a real process, whose memory is what it is in production.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from echo_server import NAME, ask
from grpc import aio
from running_stack import wait_for

from reclens.platform.grpc.auth import Scope, TokenEntry, digest, new_token, write_tokens
from reclens.platform.grpc.health_probe import grpc_status
from reclens.platform.grpc.tls import bearer

SUPPORT = Path(__file__).parents[3] / "support"
CALLS = 320
LARGE = ask("u" * (7 << 20)).SerializeToString()
HEALTH = "/grpc.health.v1.Health/Check"
RECOMMEND = f"/{NAME}/Recommend"


class EchoProcess:
    """A server of one's own, and the tokens of its two clients."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, tokens: list[str]) -> None:
        self.address = address
        self.token, self.other_token = tokens
        self._memory = psutil.Process(process.pid).memory_info

    @property
    def resident_mb(self) -> float:
        return self._memory().rss / 2**20

    async def grown_mb(self, calls: list[Any]) -> tuple[float, Counter[str]]:
        """How much the process grew at most while ``calls`` were made, and what came of them."""
        before = peak = self.resident_mb
        asked = asyncio.gather(*(code_of(call) for call in calls))
        while not asked.done():
            peak = max(peak, self.resident_mb)
            await asyncio.sleep(0.01)
        return peak - before, Counter(await asked)


async def code_of(call: Any) -> str:
    return (await call.code()).name


@contextmanager
def echo_process(folder: Path, **settings: Any) -> Iterator[EchoProcess]:
    tokens, file, log = (
        [new_token(), new_token()],
        folder / "tokens.json",
        folder / "echo.log",
    )
    scopes = frozenset({Scope.READ, Scope.STEER})
    entries = [
        TokenEntry(client=f"client-{index}", sha256=digest(token), scopes=scopes)
        for index, token in enumerate(tokens)
    ]
    write_tokens(file, entries)
    given = {
        "listen": "127.0.0.1:0",
        "auth": {"tokens_file": str(file)},
        **settings,
    }
    command = [sys.executable, "-m", "echo_process", json.dumps({"server": given})]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=SUPPORT, stderr=stderr)
    try:
        wait_for(lambda: '"listening"' in log.read_text(), "the echo to listen")
        lines = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        (address,) = (one["address"] for one in lines if one["event"] == "listening")
        yield EchoProcess(process, address, tokens)
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def connections(address: str, count: int = 8) -> AsyncIterator[list[aio.Channel]]:
    """Channels with a connection each."""
    async with AsyncExitStack() as stack:
        own = [("grpc.use_local_subchannel_pool", 1)]
        made = [aio.insecure_channel(address, own) for _ in range(count)]
        yield [await stack.enter_async_context(channel) for channel in made]


async def never() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


@pytest.mark.parametrize(
    ("method", "answer"), [(RECOMMEND, "UNAUTHENTICATED"), (HEALTH, "INVALID_ARGUMENT")]
)
async def test_strangers_are_refused_before_their_messages_take_memory(
    method: str, answer: str, tmp_path: Path
) -> None:
    with echo_process(tmp_path) as server:
        async with connections(server.address) as channels:
            calls = [
                channels[index % 8].unary_unary(method)(LARGE, timeout=60) for index in range(CALLS)
            ]
            grown, codes = await server.grown_mb(calls)
    assert codes == {answer: CALLS}
    # What none of them was refused for took gigabytes.
    assert grown < 250


async def test_messages_of_one_client_take_bounded_memory(tmp_path: Path) -> None:
    with echo_process(tmp_path) as server:
        async with connections(server.address) as channels:
            proof = bearer(server.token)
            calls = [
                channels[index % 8].unary_unary(RECOMMEND)(LARGE, timeout=60, metadata=proof)
                for index in range(128)
            ]
            grown, codes = await server.grown_mb(calls)
    assert set(codes) <= {"OK", "RESOURCE_EXHAUSTED"}
    assert codes["OK"] > 0
    assert grown < 600


async def test_messages_that_never_arrive_count_as_calls_and_are_not_waited_for(
    tmp_path: Path,
) -> None:
    with echo_process(tmp_path, admission={"body_seconds": 2}) as server:
        async with connections(server.address) as channels:
            stalled = [
                channels[index % 8].stream_unary(RECOMMEND)(never(), metadata=bearer(server.token))
                for index in range(200)
            ]
            coming = asyncio.gather(*(code_of(call) for call in stalled))
            # The last ones are refused only once those before are let in.
            while sum(call.done() for call in stalled) < 72:
                await asyncio.sleep(0.01)
            # Another client does not notice.
            for _ in range(10):
                call = channels[0].unary_unary(RECOMMEND)(
                    ask().SerializeToString(), timeout=1, metadata=bearer(server.other_token)
                )
                assert await code_of(call) == "OK"
            assert Counter(await coming) == {"RESOURCE_EXHAUSTED": 72, "DEADLINE_EXCEEDED": 128}


async def test_who_asks_for_health_without_end_is_not_waited_for(tmp_path: Path) -> None:
    with echo_process(tmp_path) as server:
        async with connections(server.address) as channels:
            stalled = [channels[0].stream_unary(HEALTH)(never()) for _ in range(100)]
            codes = Counter([await code_of(call) for call in stalled])
            assert codes == {"DEADLINE_EXCEEDED": 100}
            assert await asyncio.to_thread(grpc_status, server.address) == "SERVING"
