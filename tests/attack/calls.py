"""Hostile calls of every method of both servers, with and without tokens."""

from __future__ import annotations

import contextlib
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from hostile import KNOWN, Hostile

from attack.oracle import Report
from attack.target import Target
from attack.values import case_rng
from reclens.api.inference.v1 import inference_pb2
from reclens.api.steering.v1 import steering_pb2

ATTACK = "calls"
_AT_ONCE = 32
_STEERING = steering_pb2.DESCRIPTOR.services_by_name["SteeringService"]
_INFERENCE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"]
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
_WRITING = {"CreatePolicy", "UpdatePolicy", "DeletePolicy"}
_OPEN = "/grpc.health.v1.Health/"
_GRACEFUL = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
}
_DETAILS = "grpc-status-details-bin"
# What gRPC itself answers carries no reason of ours.
_OF_GRPC = {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.RESOURCE_EXHAUSTED}


@dataclass(frozen=True)
class Call:
    """One case."""

    number: int
    server: str
    method: str
    messages: tuple[bytes, ...]
    token: str
    """What the caller may do: a name of `Target.tokens`, or a kind of lie."""
    metadata: tuple[tuple[str, str | bytes], ...]


def draw(target: Target, seed: int, number: int) -> Call:
    """The call of one case."""
    rng = case_rng(seed, ATTACK, number)
    hostile = Hostile(rng, KNOWN)
    server = rng.choice(("gateway", "inference"))
    service: ServiceDescriptor = _STEERING if server == "gateway" else _INFERENCE
    if rng.random() < 0.03:
        service = rng.choice((_STEERING, _INFERENCE, _HEALTH))
    # Watch has no end.
    method: MethodDescriptor = rng.choice([m for m in service.methods if m.name != "Watch"])
    count = rng.choice((1, 2, 8)) if method.client_streaming else 1
    messages = tuple(
        hostile.raw(method.input_type)
        if rng.random() < 0.15
        else hostile.message(method.input_type).SerializeToString()
        for _ in range(count)
    )
    path = f"/{service.full_name}/{method.name}"
    if rng.random() < 0.01:
        path = rng.choice((f"/{service.full_name}/Nothing", "/", "//", f"{path}/x", path.upper()))
    token = rng.choice(("none", "wrong", "garbled", "read", "steer", "admin", "admin", "admin"))
    return Call(number, server, path, messages, token, _metadata(target, rng, token))


def _metadata(
    target: Target, rng: random.Random, token: str
) -> tuple[tuple[str, str | bytes], ...]:
    found: list[tuple[str, str | bytes]] = []
    if token in target.tokens:
        found.append(("authorization", f"Bearer {target.tokens[token]}"))
    elif token == "wrong":
        found.append(("authorization", f"Bearer reclens_{rng.randbytes(20).hex()}"))
    elif token == "garbled":
        proof = target.tokens["admin"]
        lies = ("Bearer", "Bearer ", proof, f"Basic {proof}", f"Bearer {proof[:-1]}", "x" * 6000)
        found.append(("authorization", rng.choice(lies)))
    if rng.random() < 0.1:
        found.append(rng.choice((
            ("x-request-id", "x" * 3000), ("x-request-id", "%0a%1b[2J"), ("odd-bin", b"\0\xff\x1b"),
            ("traceparent", "00-" + "z" * 40), ("grpc-timeout", "99999999H"),
        )))  # fmt: skip
    return tuple(found)


def run(target: Target, seed: int, numbers: range) -> Report:
    """Make the calls of these cases."""
    report = Report(ATTACK)
    addresses = {"gateway": target.gateway, "inference": target.inference}
    # The blocking client: grpc.aio's own reports an INTERNAL of its making where the server ends a
    # stream while it writes.
    channels = {name: grpc.insecure_channel(address) for name, address in addresses.items()}

    def make(number: int) -> None:
        call = draw(target, seed, number)
        _judge(report, call, *_made(channels[call.server], call))

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for _ in threads.map(make, numbers):
            pass
    for channel in channels.values():
        channel.close()
    return report


def _made(channel: grpc.Channel, call: Call) -> tuple[grpc.StatusCode, str, bool]:
    """The status, all that was told, and whether a server of ours gave its reason."""
    stream: Any = channel.stream_stream(call.method)(
        iter(call.messages), metadata=call.metadata, timeout=60
    )
    answers: list[bytes] = []
    with contextlib.suppress(grpc.RpcError):
        answers += stream
    code, details = stream.code(), stream.details() or ""
    text = b"".join(answers).decode("latin-1") + details
    reasoned = any(key == _DETAILS and value for key, value in stream.trailing_metadata() or ())
    return code, text, reasoned


def _allows_little_time(call: Call) -> bool:
    """Whether the request itself says how long it may take. Only then may a server answer that the
    time is over; that the client has waited for a minute is told by no server, and is a fault."""
    if not call.method.endswith("/BatchRank"):
        return False
    with contextlib.suppress(DecodeError):
        asked = inference_pb2.BatchRankRequest.FromString(call.messages[0])
        return any(request.timeout_seconds for request in asked.requests)
    return False


def _judge(report: Report, call: Call, code: grpc.StatusCode, text: str, reasoned: bool) -> None:
    what = f"{call.server} {call.method} as {call.token}: {code.name} {text[:200]}"
    _, _, name = call.method.rpartition("/")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and reasoned and _allows_little_time(call):
        pass
    elif code not in _GRACEFUL:
        report.breaks(call.number, what)
    elif code is grpc.StatusCode.OK:
        known = call.token in ("read", "steer", "admin")
        writes = name in _WRITING and call.token != "admin"
        if (not known and not call.method.startswith(_OPEN)) or writes:
            report.breaks(call.number, f"let in: {what}")
    elif code not in _OF_GRPC and not reasoned:
        report.breaks(call.number, f"no reason: {what}")
    report.told(call.number, text)
    report.note(call.number, code.name)
