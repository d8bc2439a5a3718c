"""Which calls a client repeats, what it shows, and how long it waits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.api.steering.v1 import steering_pb2_grpc
from reclens.client import SteeringClient
from reclens.client.connection import Connection, client_channel_options
from reclens.errors import DeadlineExceeded, InvalidInput


class _Flaky(grpc.GenericRpcHandler):
    """Refuses every first call of a method as unavailable, and counts them all."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.tokens: set[str] = set()

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method.rpartition("/")[2]
        self.tokens.add(dict(handler_call_details.invocation_metadata).get("authorization", ""))

        def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
            self.calls[method] += 1
            if self.calls[method] == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def flaky() -> Iterator[tuple[_Flaky, str]]:
    handler = _Flaky()
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield handler, f"127.0.0.1:{port}"
    server.stop(grace=None).wait()


def test_only_what_reads_is_repeated(flaky: tuple[_Flaky, str]) -> None:
    handler, target = flaky
    with grpc.insecure_channel(target, options=client_channel_options(target)) as channel:
        stub = steering_pb2_grpc.SteeringServiceStub(channel)
        stub.Recommend(pb.RecommendRequest(), timeout=10)
        stub.ProposeEdit(pb.ProposeEditRequest(), timeout=10)
        stub.GetPolicy(pb.GetPolicyRequest(), timeout=10)
        for write, request in (
            (stub.CreatePolicy, pb.CreatePolicyRequest()),
            (stub.UpdatePolicy, pb.UpdatePolicyRequest()),
            (stub.DeletePolicy, pb.DeletePolicyRequest()),
        ):
            with pytest.raises(grpc.RpcError):
                write(request, timeout=10)
    assert handler.calls == {
        "Recommend": 2,
        "ProposeEdit": 2,
        "GetPolicy": 2,
        "CreatePolicy": 1,
        "UpdatePolicy": 1,
        "DeletePolicy": 1,
    }


def test_token_is_shown_with_every_call(flaky: tuple[_Flaky, str]) -> None:
    handler, target = flaky
    with SteeringClient(target, token="secret") as client:
        client.releases()
        client.recommend(user_id="u")
    assert handler.tokens == {"Bearer secret"}


@pytest.mark.parametrize("timeout", [0, -1, math.inf, math.nan])
def test_no_call_goes_without_a_deadline(timeout: float) -> None:
    with pytest.raises(InvalidInput) as made:
        SteeringClient("127.0.0.1:1", timeout=timeout)
    assert made.value.field == "timeout"
    with SteeringClient("127.0.0.1:1") as client, pytest.raises(InvalidInput):
        client.recommend(user_id="u", timeout=timeout)


def test_deadline_of_a_call_overrides_that_of_the_client() -> None:
    silent = grpc.server(ThreadPoolExecutor(1))
    # It listens and is never started: nobody answers.
    port = silent.add_insecure_port("127.0.0.1:0")
    with (
        SteeringClient(f"127.0.0.1:{port}", timeout=600) as client,
        pytest.raises(DeadlineExceeded),
    ):
        client.recommend(user_id="u", timeout=0.2)
    silent.stop(grace=None)


def test_authorities_are_read_from_a_file_or_given(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    pem.write_bytes(b"pem")
    for ca in (pem, str(pem), b"pem"):
        assert Connection("host:1", ca=ca).channel_credentials() is not None
    assert Connection("host:1").channel_credentials() is None
    with pytest.raises(InvalidInput, match="No such file") as missing:
        Connection("host:1", ca=tmp_path / "none.pem").channel_credentials()
    assert missing.value.field == "ca"
    with pytest.raises(InvalidInput, match="both"):
        Connection("host:1", ca=pem, credentials=grpc.ssl_channel_credentials())
