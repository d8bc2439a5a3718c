"""One window of load, in a process of its own: ``python serving_load.py JOB.json`` prints JSON.

Closed loop: so many clients, each with one call under way. Open loop: calls begin at a given rate,
answered or not. Requests are bytes made beforehand and answers are not parsed, so that the client
costs as little as a client on ``grpc.aio`` can. Before the window, the same load warms up.

The processes under test are watched by their ids: CPU seconds within the window, children
included, and memory at its end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

_CONNECT_SECONDS = 30
MAX_PENDING = 5000
"""Open loop: calls under way at most; further arrivals are counted as not sent."""


@dataclass(frozen=True)
class Job:
    """What one process of load sends, and where to."""

    target: str
    """``host:port``."""
    method: str
    """Full name of a unary method."""
    requests: str
    """File of requests, each after its length in four bytes."""
    clients: int = 1
    """Closed loop: calls under way."""
    per_second: float = 0
    """Open loop: calls begun a second. 0: closed loop."""
    honour_retry: bool = False
    """Open loop: try again after the delay that a refusal names, while the deadline allows."""
    warm_up: float = 1
    """Seconds before the window."""
    seconds: float = 5
    """Length of the window in seconds."""
    deadline: float = 30
    """Deadline of a call, seconds."""
    first: int = 0
    """Begin with this request, counted round and round."""
    channels: int = 4
    """Most connections that are open at once."""
    watch: dict[str, int] = field(default_factory=dict)
    """Processes under test: name to process id."""


@dataclass
class Window:
    """How many calls ended in which way, and how long they took."""

    seconds: float = 0
    sent: int = 0
    """Calls begun, before the window too: how far the requests were used up."""
    begun: int = 0
    """Calls begun within the window."""
    not_sent: int = 0
    """Open loop: arrivals that found too many calls under way here."""
    latencies: list[float] = field(default_factory=list)
    """Of calls that were answered, milliseconds."""
    codes: Counter[str] = field(default_factory=Counter)
    """Other endings: status codes; LATE where an answer was seen after the deadline."""
    response_bytes: int = 0
    """Length of the last answer."""


class Load:
    """Sends one job's load."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._requests = read_requests(Path(job.requests))
        n_channels = min(job.channels, job.clients if not job.per_second else job.channels)
        # Equal channels would share one connection.
        self._channels = [
            aio.insecure_channel(job.target, options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(n_channels)
        ]
        self._calls = [channel.unary_unary(job.method) for channel in self._channels]
        self._window = Window()
        self._measuring = False

    async def run(self) -> dict[str, Any]:
        """Warm up, measure, and say what came of it."""
        job = self._job
        async with asyncio.timeout(_CONNECT_SECONDS):
            await asyncio.gather(*(channel.channel_ready() for channel in self._channels))
        stop = time.perf_counter() + job.warm_up + job.seconds
        if job.per_second:
            sending = [asyncio.create_task(self._arrivals(stop))]
        else:
            sending = [asyncio.create_task(self._client(n, stop)) for n in range(job.clients)]
        await asyncio.sleep(job.warm_up)
        watched = {name: psutil.Process(pid) for name, pid in job.watch.items()}
        before = {name: _cpu_seconds(process) for name, process in watched.items()}
        own = time.process_time()
        started = time.perf_counter()
        self._measuring = True
        await asyncio.sleep(max(0.0, stop - started))
        self._measuring = False
        window = self._window
        window.seconds = time.perf_counter() - started
        spent = {name: _cpu_seconds(process) - before[name] for name, process in watched.items()}
        own = time.process_time() - own
        result = asdict(window)
        result["latencies"] = [round(latency, 3) for latency in sorted(window.latencies)]
        result["cpu_seconds"] = {**spent, "client": own}
        result["rss_bytes"] = {name: _rss(process) for name, process in watched.items()}
        _done, late = await asyncio.wait(sending, timeout=job.deadline)
        for task in late:
            task.cancel()
        result["sent"] = window.sent
        # A Counter is copied as the pairs that it would count.
        result["codes"] = dict(window.codes)
        await asyncio.gather(*(channel.close(0) for channel in self._channels))
        return result

    def _next(self) -> bytes:
        request = self._requests[(self._job.first + self._window.sent) % len(self._requests)]
        self._window.sent += 1
        self._window.begun += self._measuring
        return request

    async def _client(self, number: int, stop: float) -> None:
        call = self._calls[number % len(self._calls)]
        window, deadline = self._window, self._job.deadline
        while (began := time.perf_counter()) < stop:
            try:
                answer = await call(self._next(), timeout=deadline)
            except aio.AioRpcError as error:
                self._failed(error)
                # Whoever is refused and asks again at once would measure the refusals.
                await asyncio.sleep(_retry_seconds(error) or 0.005)
                continue
            if self._measuring:
                window.latencies.append((time.perf_counter() - began) * 1e3)
                window.response_bytes = len(answer)

    async def _arrivals(self, stop: float) -> None:
        """Evenly spaced arrivals; those that are late are sent at once."""
        pending: set[asyncio.Task[None]] = set()
        began, arrived = time.perf_counter(), 0
        while (now := time.perf_counter()) < stop:
            due = int((now - began) * self._job.per_second)
            for _ in range(due - arrived):
                if len(pending) >= MAX_PENDING:
                    self._window.not_sent += self._measuring
                    continue
                task = asyncio.create_task(self._one(len(pending)))
                pending.add(task)
                task.add_done_callback(pending.discard)
            arrived = due
            await asyncio.sleep(0.002)
        for task in pending:
            task.cancel()

    async def _one(self, number: int) -> None:
        call, request = self._calls[number % len(self._calls)], self._next()
        began = time.perf_counter()
        ends = began + self._job.deadline
        while True:
            try:
                await call(request, timeout=max(0.001, ends - time.perf_counter()))
            except aio.AioRpcError as error:
                self._failed(error)
                delay = _retry_seconds(error) if self._job.honour_retry else 0.0
                if not delay or time.perf_counter() + delay >= ends:
                    return
                await asyncio.sleep(delay)
                continue
            if self._measuring and time.perf_counter() <= ends:
                self._window.latencies.append((time.perf_counter() - began) * 1e3)
            elif self._measuring:
                # It came in time, perhaps, but this process was too busy to see it.
                self._window.codes["LATE"] += 1
            return

    def _failed(self, error: aio.AioRpcError) -> None:
        if self._measuring:
            self._window.codes[error.code().name] += 1


def _retry_seconds(error: aio.AioRpcError) -> float:
    """The delay that a refusal names; 0 where it names none."""
    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return 0.0
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            retry = error_details_pb2.RetryInfo()
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(retry):
                    return retry.retry_delay.ToNanoseconds() / 1e9
    return 0.0


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu_seconds(process: psutil.Process) -> float:
    times = [member.cpu_times() for member in _family(process)]
    return sum(one.user + one.system for one in times)


def _rss(process: psutil.Process) -> int:
    return sum(member.memory_info().rss for member in _family(process))


def write_requests(path: Path, requests: list[bytes]) -> None:
    """Write what ``read_requests`` reads."""
    with path.open("wb") as file:
        for request in requests:
            file.write(len(request).to_bytes(4, "little") + request)


def read_requests(path: Path) -> list[bytes]:
    """Requests of a file that ``write_requests`` wrote."""
    data, requests, at = path.read_bytes(), [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        requests.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return requests


async def _run(job: Job) -> dict[str, Any]:
    # Channels belong to the loop that they are made in.
    return await Load(job).run()


def main() -> None:
    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    result = asyncio.run(_run(job))
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
