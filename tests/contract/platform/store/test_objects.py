"""The object store against a real S3 server."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest

from reclens.errors import NotFound, StoreRefused, Unavailable
from reclens.platform.settings.models import S3Settings
from reclens.platform.store.objects import S3Store


def answer(status: str, code: str, date: str = "") -> bytes:
    """An error as S3 tells it."""
    body = f"<Error><Code>{code}</Code></Error>"
    dated = f"Date: {date}\r\n" if date else ""
    return (
        f"HTTP/1.1 {status}\r\n{dated}Content-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    ).encode()


_TROUBLE = answer("500 Internal Server Error", "InternalError")


@contextmanager
def listening(handler: type[BaseRequestHandler]) -> Iterator[str]:
    """Address at which ``handler`` takes connections."""
    with ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def cut_after_headers(target: str) -> AbstractContextManager[str]:
    """Address of a wire to ``target`` that passes a request's headers on and none of its body."""
    host, _, port = target.rpartition(":")

    class Wire(BaseRequestHandler):
        def handle(self) -> None:
            received = b""
            while b"\r\n\r\n" not in received and (more := self.request.recv(65536)):
                received += more
            headers, end, _ = received.partition(b"\r\n\r\n")
            with socket.create_connection((host, int(port))) as server:
                server.sendall(headers + end)
                server.shutdown(socket.SHUT_WR)
                # The server closes once it has dealt with the request.
                while server.recv(65536):
                    pass

    return listening(Wire)


def _request(client: socket.socket) -> bytes:
    """A whole request; what came of it where the client left."""
    received = b""
    while more := client.recv(65536):
        received += more
        headers, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", headers)
        if end and len(body) >= (int(length[1]) if length else 0):
            break
    return received


def failing_first(target: str, times: int, answer: bytes = _TROUBLE) -> AbstractContextManager[str]:
    """Address of a wire to ``target`` that answers ``times`` requests as S3 does in trouble."""
    answers = iter([answer] * times)
    host, _, port = target.rpartition(":")

    class Wire(BaseRequestHandler):
        def handle(self) -> None:
            received = _request(self.request)
            if (answer := next(answers, None)) is not None:
                self.request.sendall(answer)
                return
            with socket.create_connection((host, int(port))) as server:
                # It would wait for a second request otherwise.
                server.sendall(received.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                while more := server.recv(65536):
                    self.request.sendall(more)

    return listening(Wire)


@pytest.fixture
def store(s3: S3Settings) -> S3Store:
    store = S3Store(s3)
    store.ensure_bucket()
    return store


def test_bytes_come_back_as_they_were_put(store: S3Store):
    store.put("bytes/a", b"\x00\xff recommender")
    assert store.get("bytes/a") == b"\x00\xff recommender"


def test_a_file_of_several_parts_comes_back_in_chunks(store: S3Store, tmp_path: Path):
    content = bytes(range(256)) * 4 * 1024 * 12  # 12 MiB: above one part
    path = tmp_path / "large"
    path.write_bytes(content)
    store.put_file("bytes/large", path)
    assert b"".join(store.get_chunks("bytes/large", 1 << 20)) == content


def test_of_many_racing_conditional_puts_exactly_one_wins(store: S3Store):
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: store.put_if_absent("race/manifest", b"%d" % i), range(8)))
    assert won.count(True) == 1
    assert store.get("race/manifest") == b"%d" % won.index(True)


def test_a_writer_that_dies_after_the_headers_leaves_nothing(s3: S3Settings, store: S3Store):
    with cut_after_headers(s3.endpoint) as address:
        dying = S3Store(s3.model_copy(update={"endpoint": address}))
        with pytest.raises(Unavailable):
            dying.put_if_absent("died/manifest", b"whole")
    assert not store.exists("died/manifest")
    assert store.put_if_absent("died/manifest", b"whole")
    assert store.get("died/manifest") == b"whole"


def test_a_writer_that_dies_leaves_what_it_was_to_replace(s3: S3Settings, store: S3Store):
    store.put("died/pointer", b"before")
    with cut_after_headers(s3.endpoint) as address:
        dying = S3Store(s3.model_copy(update={"endpoint": address}))
        with pytest.raises(Unavailable):
            dying.put("died/pointer", b"after")
    assert store.get("died/pointer") == b"before"


@pytest.mark.parametrize("conditional", [False, True])
def test_what_the_store_fails_at_is_tried_again(s3: S3Settings, store: S3Store, conditional: bool):
    key = f"again/{conditional}"
    store.delete(key)
    with failing_first(s3.endpoint, times=2) as address:
        troubled = S3Store(s3.model_copy(update={"endpoint": address}))
        if conditional:
            assert troubled.put_if_absent(key, b"kept")
        else:
            troubled.put(key, b"kept")
    with failing_first(s3.endpoint, times=2) as address:
        troubled = S3Store(s3.model_copy(update={"endpoint": address}))
        assert troubled.get(key) == b"kept"


def test_a_store_that_goes_on_failing_is_unavailable_and_says_so(s3: S3Settings):
    with failing_first(s3.endpoint, times=10) as address:
        troubled = S3Store(s3.model_copy(update={"endpoint": address}))
        with pytest.raises(Unavailable, match="answered InternalError"):
            troubled.get("anything")
        with pytest.raises(Unavailable, match=r"answered InternalError \(500\)"):
            troubled.put("anything", b"1")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("409 Conflict", "ConditionalRequestConflict"),
        ("409 Conflict", "OperationAborted"),
        ("429 Too Many Requests", "TooManyRequests"),
        ("503 Slow Down", "SlowDown"),
        ("400 Bad Request", "RequestTimeout"),
    ],
)
def test_what_passes_is_no_refusal(s3: S3Settings, tmp_path: Path, status: str, code: str):
    path = tmp_path / "file"
    path.write_bytes(b"1")
    with failing_first(s3.endpoint, times=100, answer=answer(status, code)) as address:
        troubled = S3Store(s3.model_copy(update={"endpoint": address}))
        for put in (
            lambda: troubled.put("passing", b"1"),
            lambda: troubled.put_if_absent("passing", b"1"),
            lambda: troubled.put_file("passing", path),
            lambda: troubled.get("passing"),
        ):
            with pytest.raises(Unavailable, match=code):
                put()


def test_a_conflict_is_tried_again_at_once(s3: S3Settings, store: S3Store):
    store.delete("met/manifest")
    conflict = answer("409 Conflict", "ConditionalRequestConflict")
    with failing_first(s3.endpoint, times=2, answer=conflict) as address:
        assert S3Store(s3.model_copy(update={"endpoint": address})).put_if_absent(
            "met/manifest", b"whole"
        )
    assert store.get("met/manifest") == b"whole"


def test_other_conflicts_are_refusals(s3: S3Settings):
    conflict = answer("409 Conflict", "InvalidBucketState")
    with failing_first(s3.endpoint, times=100, answer=conflict) as address:
        troubled = S3Store(s3.model_copy(update={"endpoint": address}))
        with pytest.raises(StoreRefused, match="InvalidBucketState"):
            troubled.put("a", b"1")


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "AccessDenied"])
@pytest.mark.parametrize(("hours", "told"), [(1, "behind"), (-1, "ahead of")])
def test_a_clock_that_is_off_is_named(s3: S3Settings, code: str, hours: int, told: str):
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    with failing_first(s3.endpoint, 100, answer("403 Forbidden", code, date)) as address:
        skewed = S3Store(s3.model_copy(update={"endpoint": address}))
        for call in (skewed.get, skewed.exists, lambda key: skewed.put(key, b"1")):
            with pytest.raises(
                StoreRefused, match=f"clock of this machine: it is (59|60) minutes {told}"
            ):
                call("a")


def test_without_its_bucket_nothing_is_put(s3: S3Settings):
    elsewhere = S3Store(s3.model_copy(update={"bucket": "never-made"}))
    with pytest.raises(NotFound, match="never-made"):
        elsewhere.put("a", b"1")


def test_missing_objects_are_not_found_and_do_not_exist(store: S3Store):
    with pytest.raises(NotFound):
        store.get("nowhere/nothing")
    with pytest.raises(NotFound):
        list(store.get_chunks("nowhere/nothing"))
    assert not store.exists("nowhere/nothing")


def test_listing_is_sorted_and_deep(store: S3Store):
    for key in ("list/b", "list/a/x", "list/c"):
        store.put(key, b"1")
    assert store.list("list/") == ["list/a/x", "list/b", "list/c"]
    store.delete("list/b")
    store.delete("list/b")
    assert store.list("list/") == ["list/a/x", "list/c"]


def test_making_the_bucket_twice_keeps_what_is_in_it(store: S3Store):
    store.put("kept", b"1")
    store.ensure_bucket()
    assert store.get("kept") == b"1"


def test_a_wrong_secret_is_refused_with_the_settings_to_check(s3: S3Settings):
    stranger = S3Store(s3.model_copy(update={"secret_key": type(s3.secret_key)("wrong")}))
    with pytest.raises(StoreRefused, match="RECLENS_S3__SECRET_KEY"):
        stranger.get("kept")
    with pytest.raises(StoreRefused):
        stranger.put_if_absent("intruder", b"1")


def test_no_link_with_a_signature_is_logged(caplog: pytest.LogCaptureFixture):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keys = {"access_key": "the-access-key", "secret_key": "the-secret-key"}
    store = S3Store(S3Settings.model_validate({"endpoint": f"127.0.0.1:{port}", **keys}))
    with caplog.at_level("DEBUG"), pytest.raises(Unavailable):
        store.put("checkpoints/latest.json", b"{}")
    # The client of the store logs where it tried again.
    assert "checkpoints/latest.json" in caplog.text
    for secret in ("Signature", "X-Amz", *keys.values()):
        assert secret not in caplog.text


def test_a_dead_server_is_unavailable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = S3Store(S3Settings(endpoint=f"127.0.0.1:{port}"))
    with pytest.raises(Unavailable, match="does not answer"):
        store.get("anything")


def test_the_store_itself_gives_unfinished_uploads_up(own_bucket: S3Settings):
    store = S3Store(own_bucket)
    assert store.expire_uploads(7)
    assert store.expire_uploads(3)
    (rule,) = store._client.get_bucket_lifecycle(bucket_name=store.bucket).rules
    assert rule.abort_incomplete_multipart_upload.days_after_initiation == 3
    nobody = own_bucket.model_copy(update={"secret_key": type(own_bucket.secret_key)("wrong")})
    assert not S3Store(nobody).expire_uploads(7)
