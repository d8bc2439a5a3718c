"""Wires from one process to a server, which can be cut, delayed, and asked to lie."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_ADDRESS = "127.0.0.1"
_BLOCK = 1 << 16
_PATIENCE_SECONDS = 120.0
_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>{code}</Code><Message>as planned</Message><Resource>{path}</Resource></Error>"
)


class Wire:
    """Forwards connections to a server. While it is cut, nobody answers at ``address``.

    Args:
        client: name of the program at its near end.
        target: ``host:port`` of the server.
    """

    def __init__(self, client: str, target: str) -> None:
        self.client = client
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._near = 0
        self._listener: socket.socket | None = None
        self._joined: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.mend()
        self.address = f"{_ADDRESS}:{self._near}"

    def mend(self) -> None:
        """Listen, on the same port as before."""
        if self._listener is not None:
            return
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_ADDRESS, self._near))
        listener.listen(128)
        self._near = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """Close the port and all connections."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Closing alone does not wake the thread that waits in accept.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            joined = list(self._joined)
        for one in joined:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with self._kept(near), contextlib.suppress(OSError):
            self.serve(near)

    def serve(self, near: socket.socket) -> None:
        """Carry one connection to its end."""
        with self.far() as far:
            back = threading.Thread(target=_pass, args=(far, near), daemon=True)
            back.start()
            _pass(near, far)
            back.join()

    @contextlib.contextmanager
    def far(self) -> Iterator[socket.socket]:
        """A connection to the server."""
        with socket.create_connection((self._host, self._port), timeout=5) as far:
            far.settimeout(None)
            with self._kept(far):
                yield far

    @contextlib.contextmanager
    def _kept(self, joined: socket.socket) -> Iterator[None]:
        with self._lock:
            self._joined.add(joined)
        try:
            yield
        finally:
            with self._lock:
                self._joined.discard(joined)
            joined.close()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_BLOCK):
            sink.sendall(data)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@dataclass
class StoreRequest:
    """A request to the store, as it passes."""

    client: str
    """Program that asks."""
    method: str
    key: str
    """Path below the bucket, with the query left out; empty for the bucket itself."""
    head: bytes
    """Request line and headers, with the empty line."""
    body: bytes
    number: int = 0
    """Counted by `Traffic` from the beginning of the round, over all programs that count; 0: not
    counted."""


@dataclass(frozen=True)
class Answer:
    """Said in the store's place."""

    status: int
    code: str
    """S3's code of the error."""


@dataclass(frozen=True)
class Cut:
    """Both ends are closed in the middle of the body, or after the request was passed on."""

    share: float
    """Share of the body that the store gets; 1: all of it, but the client hears nothing."""


@dataclass(frozen=True)
class Late:
    """The client's connection is closed at once; the store gets the request when ``until`` is
    set."""

    until: threading.Event


Verdict = Answer | Cut | Late | None
Rule = Callable[[StoreRequest], Verdict]
"""What happens to a request; it may also wait. None: it is passed on."""
Hook = Callable[[StoreRequest, str], None]
"""Called ``before`` a request is passed on and ``after`` the store has answered it, while the
client waits."""


@dataclass
class Traffic:
    """All requests to the store, in one count."""

    counted: frozenset[str]
    """Programs whose requests are counted."""
    rule: Rule | None = None
    hook: Hook | None = None
    number: int = 0
    late: list[threading.Thread] = field(default_factory=list)
    """Carry requests that are passed on later."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, request: StoreRequest) -> None:
        """Number a request."""
        if request.client in self.counted:
            with self._lock:
                self.number += 1
                request.number = self.number

    def reset(self) -> None:
        """Begin to count anew, without rule and hook."""
        with self._lock:
            self.rule = self.hook = None
            self.number = 0


class StoreWire(Wire):
    """A wire to an S3 server, which reads requests: one a connection, so that each stands alone."""

    def __init__(self, client: str, target: str, bucket: str, traffic: Traffic) -> None:
        self._bucket = bucket
        self._traffic = traffic
        super().__init__(client, target)

    def serve(self, near: socket.socket) -> None:
        near.settimeout(_PATIENCE_SECONDS)
        request = self._read(near)
        if request is None:
            return
        traffic = self._traffic
        traffic.count(request)
        if traffic.hook is not None and request.number:
            traffic.hook(request, "before")
        verdict = traffic.rule(request) if traffic.rule is not None else None
        if isinstance(verdict, Answer):
            near.sendall(_refusal(verdict, request))
            return
        if isinstance(verdict, Late):
            thread = threading.Thread(target=self._later, args=(request, verdict), daemon=True)
            traffic.late.append(thread)
            thread.start()
            return
        share = verdict.share if isinstance(verdict, Cut) else 1.0
        answer = self._ask(request, share)
        if verdict is None:
            if traffic.hook is not None and request.number:
                traffic.hook(request, "after")
            near.sendall(answer)

    def _ask(self, request: StoreRequest, share: float = 1.0) -> bytes:
        with self.far() as far:
            far.settimeout(_PATIENCE_SECONDS)
            far.sendall(request.head + request.body[: int(len(request.body) * share)])
            if share < 1:
                time.sleep(0.05)
                return b""
            return b"".join(iter(lambda: far.recv(_BLOCK), b""))

    def _later(self, request: StoreRequest, verdict: Late) -> None:
        verdict.until.wait(_PATIENCE_SECONDS)
        with contextlib.suppress(OSError):
            self._ask(request)

    def _read(self, near: socket.socket) -> StoreRequest | None:
        with near.makefile("rb") as stream:
            lines = []
            while (line := stream.readline()) not in (b"\r\n", b""):
                lines.append(line)
            if not lines:
                return None
            method, path, _ = lines[0].decode("latin-1").split(" ", 2)
            fields = {
                name.strip().lower(): value.strip()
                for name, _, value in (one.decode("latin-1").partition(":") for one in lines[1:])
            }
            body = stream.read(int(fields.get("content-length", 0)))
        kept = [one for one in lines if not one.lower().startswith(b"connection:")]
        head = b"".join([*kept, b"Connection: close\r\n\r\n"])
        key = path.partition("?")[0].removeprefix(f"/{self._bucket}").removeprefix("/")
        return StoreRequest(self.client, method, key, head, body)


def _refusal(answer: Answer, request: StoreRequest) -> bytes:
    text = _ERROR.format(code=answer.code, path=request.key).encode()
    body = b"" if request.method == "HEAD" else text
    head = (
        f"HTTP/1.1 {answer.status} Planned\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
