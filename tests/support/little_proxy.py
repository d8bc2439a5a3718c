"""A little HTTP proxy: tunnels, plain requests passed on, and a note of who was asked for.

Every host is taken for this machine, so that a test can reach its own servers by a
name that only the proxy knows.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class LittleProxy:
    """A running one."""

    url: str
    """Its address."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and host:port of every request, in order."""
    authorization: list[str] = field(default_factory=list)
    """What ``Proxy-Authorization`` said, where it did."""
    refuses: bool = False
    """Answers 403 with a page of its own."""


@contextmanager
def little_proxy() -> Iterator[LittleProxy]:
    """A proxy for as long as the block runs."""
    listening = socket.create_server(("127.0.0.1", 0))
    proxy = LittleProxy(f"http://127.0.0.1:{listening.getsockname()[1]}")

    def accept() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_serve, args=(proxy, client), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def _serve(proxy: LittleProxy, client: socket.socket) -> None:
    with client:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (data := client.recv(65536)):
                return
            head += data
        first, rest = head.split(b"\r\n", 1)
        method, target, version = first.decode().split(" ")
        for line in rest.split(b"\r\n\r\n")[0].decode().splitlines():
            if line.lower().startswith("proxy-authorization:"):
                proxy.authorization.append(line.split(": ", 1)[1])
        parts = urlsplit(target if "://" in target else f"//{target}")
        proxy.asked.append((method, parts.netloc))
        if proxy.refuses:
            page = b"<html>Not through here</html>"
            head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(page)}\r\n\r\n"
            client.sendall(head.encode() + page)
            return
        with socket.create_connection(("127.0.0.1", parts.port or 80)) as server:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
                server.sendall(
                    f"{method} {path} {version}\r\nConnection: close\r\n".encode() + rest
                )
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
