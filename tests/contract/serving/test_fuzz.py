"""No request, however strange, makes the servers fail, grow, or answer what was not asked.

Against real processes, so that a crash, a leak and a hang are what they are in production.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import psutil
import pytest
from buckets import bucket_of_ones_own
from grpc import aio
from hostile import KNOWN, Hostile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served_world import Publisher
from serving_processes import ServingProcesses, serving_processes

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.platform.settings.models import StoreSettings
from reclens.platform.store.artifacts import ArtifactStore

SERVICE = pb.DESCRIPTOR.services_by_name["SteeringService"]
UNARY = [method for method in SERVICE.methods if not method.client_streaming]
N_REQUESTS, N_DAMAGED = 9_500, 1_500
GRACEFUL = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@dataclass(frozen=True)
class Target:
    """The gateway as a process, and its channel's address."""

    processes: ServingProcesses

    @property
    def address(self) -> str:
        return self.processes.gateway.address

    def resident_mb(self) -> float:
        """Memory of both servers."""
        return sum(
            psutil.Process(service.process.pid).memory_info().rss / 2**20
            for service in (self.processes.gateway, self.processes.inference)
        )

    def assert_well(self) -> None:
        """Both processes run and answer as before."""
        assert self.processes.gateway.process.poll() is None
        assert self.processes.inference.process.poll() is None
        # Whatever they could not handle they have logged, even where the caller saw nothing of it.
        for service in (self.processes.gateway, self.processes.inference):
            assert service.events("handler failed") == []
        with grpc.insecure_channel(self.address) as channel:
            stub = steering_pb2_grpc.SteeringServiceStub(channel)
            answer = stub.Recommend(
                pb.RecommendRequest(subject=pb.Subject(user_id="user-0")), timeout=20
            )
        assert len(answer.items) == 10


@pytest.fixture(scope="module")
def target(s3, tmp_path_factory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    with bucket_of_ones_own(s3) as own:
        store = ArtifactStore.from_settings(StoreSettings(s3=own, cache_dir=folder / "made-cache"))
        Publisher(store, folder / "made").world()
        with serving_processes(own, folder) as processes:
            yield Target(processes)


async def send_all(
    address: str, requests: list[tuple[str, bytes]], at_once: int = 64
) -> list[tuple[str, bytes, grpc.StatusCode, str, bytes]]:
    """Send raw requests; what came of each."""
    outcomes: list[tuple[str, bytes, grpc.StatusCode, str, bytes]] = []
    queue = iter(requests)
    async with aio.insecure_channel(address) as channel:

        async def work() -> None:
            for method, data in queue:
                call = channel.unary_unary(f"/{SERVICE.full_name}/{method}")
                try:
                    answer = await call(data, timeout=60)
                    outcomes.append((method, data, grpc.StatusCode.OK, "", answer))
                except aio.AioRpcError as error:
                    outcomes.append((method, data, error.code(), error.details() or "", b""))

        await asyncio.gather(*(work() for _ in range(at_once)))
    return outcomes


def check_answer(request: pb.RecommendRequest, answer: pb.RecommendResponse) -> None:
    """What was answered is what was asked, in finite numbers."""
    assert len(answer.items) <= (request.top_k or 10)
    assert all(math.isfinite(item.score) for item in answer.items)
    excluded = set(request.constraints.exclude_item_ids)
    assert not excluded & {item.item_id for item in answer.items}
    for limit in request.constraints.tag_limits:
        carrying = sum(limit.tag in item.tags for item in answer.items)
        assert carrying <= limit.max_items
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= answer.effect.overlap <= 1
    edited = request.edits or request.policy.policy_id or request.mode
    if not edited and not request.constraints.tag_limits:
        assert [item.rank for item in answer.items] == [i.baseline_rank for i in answer.items]


def test_ten_thousand_strange_requests_are_answered_or_refused_with_reason(target) -> None:
    hostile = Hostile(random.Random(6), KNOWN)
    requests = [
        (method.name, hostile.message(method.input_type).SerializeToString())
        for method in hostile.rng.choices(UNARY, k=N_REQUESTS)
    ]
    requests += [
        (method.name, hostile.raw(method.input_type))
        for method in hostile.rng.choices(UNARY, k=N_DAMAGED)
    ]
    warm_up = asyncio.run(send_all(target.address, requests[:1000]))
    before = target.resident_mb()
    outcomes = warm_up + asyncio.run(send_all(target.address, requests[1000:]))
    assert len(outcomes) == N_REQUESTS + N_DAMAGED
    for method, data, code, details, answer in outcomes:
        assert code in GRACEFUL, f"{method} {data.hex()}: {code} {details}"
        if method == "Recommend" and code is grpc.StatusCode.OK:
            check_answer(
                pb.RecommendRequest.FromString(data), pb.RecommendResponse.FromString(answer)
            )
    # A fuzz whose requests all die at the door tries nothing.
    answered = Counter(method for method, _, code, *_ in outcomes if code is grpc.StatusCode.OK)
    assert set(answered) >= {method.name for method in UNARY} - {"UpdatePolicy"}
    target.assert_well()
    assert target.resident_mb() < before + 200


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rng=st.randoms(use_true_random=False), method=st.sampled_from([m.name for m in UNARY]))
def test_no_request_makes_the_server_fail(target, rng, method) -> None:
    # The same generator under hypothesis, which shrinks what fails.
    hostile = Hostile(rng, KNOWN, huge=0.0)
    message = hostile.message(SERVICE.methods_by_name[method].input_type)
    (outcome,) = asyncio.run(send_all(target.address, [(method, message.SerializeToString())], 1))
    assert outcome[2] in GRACEFUL, outcome[3]


def test_strange_steps_leave_a_session_alive_or_end_it_with_reason(target) -> None:
    hostile = Hostile(random.Random(7), KNOWN)
    steps = [
        hostile.message(pb.StreamRecommendRequest.DESCRIPTOR).SerializeToString()
        for _ in range(600)
    ]
    damaged = [hostile.raw(pb.StreamRecommendRequest.DESCRIPTOR) for _ in range(100)]

    def session(sent: list[bytes]) -> tuple[grpc.StatusCode, str]:
        # The blocking client: grpc.aio's own reports an INTERNAL of its making where the server
        # ends a stream while it writes.
        with grpc.insecure_channel(target.address) as channel:
            call = channel.stream_stream(f"/{SERVICE.full_name}/StreamRecommend")(
                iter(sent), timeout=60
            )
            try:
                for data in call:
                    pb.StreamRecommendResponse.FromString(data)
            except grpc.RpcError:
                pass
            return call.code(), call.details()

    parts = [steps[i : i + 20] for i in range(0, len(steps), 20)]
    parts += [damaged[i : i + 5] for i in range(0, len(damaged), 5)]
    with ThreadPoolExecutor(8) as threads:
        endings = list(threads.map(session, parts))
    assert [ending for ending in endings if ending[0] not in GRACEFUL] == []
    assert grpc.StatusCode.OK in {code for code, _ in endings}
    target.assert_well()


def test_messages_of_fifty_megabytes_are_refused_without_being_kept(target) -> None:
    request = pb.RecommendRequest(subject=pb.Subject(user_id="u" * (50 << 20)))
    data = request.SerializeToString()
    before = target.resident_mb()
    outcomes = asyncio.run(send_all(target.address, [("Recommend", data)] * 8, at_once=2))
    assert {code for _, _, code, *_ in outcomes} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    target.assert_well()
    assert target.resident_mb() < before + 120


def test_clients_that_never_finish_keep_nobody_waiting(target) -> None:
    host, _, port = target.address.rpartition(":")
    idle: list[socket.socket] = []
    try:
        for index in range(200):
            connection = socket.create_connection((host, int(port)), timeout=10)
            # Nothing, half a preface, or a preface and half a frame, and then silence.
            connection.sendall(
                (b"", b"PRI * HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00")[index % 3]
            )
            idle.append(connection)
        target.assert_well()
    finally:
        for connection in idle:
            connection.close()


def test_a_session_whose_answers_are_never_read_stays_small(target) -> None:
    start = pb.StreamRecommendRequest(
        sequence=1,
        start=pb.RecommendRequest(
            subject=pb.Subject(user_id="user-0"), top_k=40, include_seen=True, explain=True
        ),
    )

    async def pour() -> int:
        async with aio.insecure_channel(target.address) as channel:
            call = steering_pb2_grpc.SteeringServiceStub(channel).StreamRecommend()
            sent = 0
            try:
                # Flow control holds the writer up once both ends are full.
                async with asyncio.timeout(5):
                    while sent < 20_000:
                        await call.write(start)
                        sent += 1
            except TimeoutError:
                pass
            call.cancel()
            return sent

    before = target.resident_mb()
    assert asyncio.run(pour()) > 0
    target.assert_well()
    assert target.resident_mb() < before + 100
