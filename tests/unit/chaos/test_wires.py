"""The wires carry what is sent, and lie only when they are told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3
from chaos.wires import Answer, Cut, Late, StoreRequest, StoreWire, Traffic


class Kept:
    """A server that keeps what is put."""

    def __init__(self) -> None:
        kept = self.kept = {}

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                length = int(self.headers["Content-Length"])
                data = self.rfile.read(length)
                if len(data) == length:
                    kept[self.path] = data
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def kept() -> Iterator[Kept]:
    server = Kept()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def traffic() -> Traffic:
    return Traffic(frozenset({"worker"}))


@pytest.fixture
def wire(kept: Kept, traffic: Traffic) -> Iterator[StoreWire]:
    wire = StoreWire("worker", kept.address, "bucket", traffic)
    yield wire
    wire.cut()


def put(wire: StoreWire, data: bytes = b"data") -> int:
    url = f"http://{wire.address}/bucket/a/b?x=1"
    with urllib3.PoolManager(retries=False, timeout=5) as pool:
        return pool.request("PUT", url, body=data).status


def test_a_request_passes_and_is_counted(wire: StoreWire, kept: Kept, traffic: Traffic):
    seen: list[tuple[str, str, int, str]] = []
    traffic.hook = lambda request, phase: seen.append(
        (request.method, request.key, request.number, phase)
    )
    assert put(wire) == 200
    assert kept.kept == {"/bucket/a/b?x=1": b"data"}
    assert seen == [("PUT", "a/b", 1, "before"), ("PUT", "a/b", 1, "after")]


def test_requests_of_others_are_not_counted(kept: Kept, traffic: Traffic):
    wire = StoreWire("gateway", kept.address, "bucket", traffic)
    assert put(wire) == 200
    assert traffic.number == 0
    wire.cut()


def test_an_answer_in_the_stores_place(wire: StoreWire, kept: Kept, traffic: Traffic):
    traffic.rule = lambda _request: Answer(409, "ConditionalRequestConflict")
    assert put(wire) == 409
    assert kept.kept == {}


@pytest.mark.parametrize(("share", "stored"), [(0.5, False), (1.0, True)])
def test_a_cut_upload(wire: StoreWire, kept: Kept, traffic: Traffic, *, share: float, stored: bool):
    traffic.rule = lambda _request: Cut(share)
    with pytest.raises(urllib3.exceptions.HTTPError):
        put(wire, b"x" * 100_000)
    assert bool(kept.kept) == stored


def test_an_upload_that_arrives_late(wire: StoreWire, kept: Kept, traffic: Traffic):
    arrive = threading.Event()
    traffic.rule = lambda _request: Late(arrive)
    with pytest.raises(urllib3.exceptions.HTTPError):
        put(wire)
    assert kept.kept == {}
    arrive.set()
    (thread,) = traffic.late
    thread.join(5)
    assert list(kept.kept.values()) == [b"data"]


def test_a_cut_wire_refuses_and_a_mended_one_answers_at_the_same_address(wire: StoreWire):
    address = wire.address
    wire.cut()
    host, _, port = address.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=2)
    wire.mend()
    assert wire.address == address
    assert put(wire) == 200


def test_a_rule_sees_the_whole_request(wire: StoreWire, traffic: Traffic):
    seen: list[StoreRequest] = []
    traffic.rule = seen.append
    put(wire, b"abc")
    (request,) = seen
    assert (request.client, request.body) == ("worker", b"abc")
