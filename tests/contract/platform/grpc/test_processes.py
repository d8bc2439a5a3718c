"""Servers as processes: SIGTERM under load, several processes on one port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from echo_server import NAME, Caller, ask
from grpc import aio

SUPPORT = Path(__file__).parents[3] / "support"


class Server:
    """A process, or a group of them, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        self._lines = process.stderr

    def until(self, event: str) -> dict[str, Any]:
        """The next log entry of this kind."""
        for line in self._lines:
            if line.startswith("{") and json.loads(line)["event"] == event:
                return json.loads(line)
        raise AssertionError(f"it ended without {event!r}")


@contextmanager
def server(**settings: Any) -> Iterator[Server]:
    given = {"server": {"listen": "127.0.0.1:0", **settings}}
    paths = [str(SUPPORT), *sys.path]
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / "echo_process.py"), json.dumps(given)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stderr=subprocess.PIPE,
        text=True,
    )
    family = psutil.Process(process.pid)
    try:
        yield Server(process)
    finally:
        children = family.children(recursive=True) if family.is_running() else []
        process.kill()
        process.wait()
        for child in children:
            child.wait(10)
        assert process.stderr is not None
        process.stderr.close()


async def pid_of(address: str) -> int:
    """The process that a new connection is given to."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(address, options=options) as channel:
        answer = await Caller(channel).recommend(ask(), timeout=20, wait_for_ready=True)
        return int(answer.request_id)


async def test_sigterm_under_load_fails_no_request_that_was_under_way() -> None:
    with server(drain_seconds=20) as running:
        address = running.until("listening")["address"]
        async with aio.insecure_channel(address) as channel:
            caller = Caller(channel)
            await caller.recommend(ask(), timeout=20, wait_for_ready=True)
            calls = [caller.recommend(ask("slow"), timeout=20) for _ in range(40)]
            under_way = [asyncio.ensure_future(call.code()) for call in calls]
            # The last of them is on the wire when this one, sent after them, is answered.
            await caller.recommend(ask(), timeout=20)
            running.process.send_signal(signal.SIGTERM)
            assert set(await asyncio.gather(*under_way)) == {grpc.StatusCode.OK}
        assert await asyncio.to_thread(running.process.wait, 20) == 0


async def test_several_processes_share_a_port_and_one_that_dies_comes_back() -> None:
    with server(processes=2, drain_seconds=5, metrics_listen="127.0.0.1:0") as running:
        up = [await asyncio.to_thread(running.until, "listening") for _ in range(2)]
        (address,) = {entry["address"] for entry in up}
        pids = {await pid_of(address)}
        while len(pids) < 2:
            pids.add(await pid_of(address))
        assert running.process.pid not in pids
        # Each process counts for itself, at an address of its own.
        assert len({entry["metrics"] for entry in up}) == 2
        texts = [
            (await asyncio.to_thread(urllib.request.urlopen, f"http://{entry['metrics']}/metrics"))
            .read()
            .decode()
            for entry in up
        ]
        assert all(f'method="/{NAME}/Recommend"' in text for text in texts)
        async with aio.insecure_channel(address) as channel:
            await Caller(channel).recommend(ask("die"), timeout=20).code()
        ended = await asyncio.to_thread(running.until, "process ended")
        assert ended["exit_code"] == 9
        await asyncio.to_thread(running.until, "listening")
        now = {await pid_of(address)}
        while len(now) < 2:
            now.add(await pid_of(address))
        assert len(now & pids) == 1
        running.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(running.process.wait, 20) == 0
        assert not any(psutil.pid_exists(pid) for pid in now)


async def test_processes_end_with_a_parent_that_was_killed() -> None:
    with server(processes=2, drain_seconds=1) as running:
        for _ in range(2):
            await asyncio.to_thread(running.until, "listening")
        children = psutil.Process(running.process.pid).children()
        running.process.kill()
        gone, alive = await asyncio.to_thread(psutil.wait_procs, children, 20)
        assert len(gone) >= 2
        assert not alive


@pytest.mark.parametrize("processes", [1, 2])
async def test_port_that_is_taken_ends_the_process_with_the_reason(processes: int) -> None:
    with server() as first:
        address = (await asyncio.to_thread(first.until, "listening"))["address"]
        with server(listen=address, processes=processes) as second:
            refused = await asyncio.to_thread(second.until, "not started")
            assert address in refused["error"]
            assert await asyncio.to_thread(second.process.wait, 20) == 2
