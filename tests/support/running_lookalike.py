"""Starts the TGI look-alike as a process and talks to it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tgi_lookalike

from reclens.ops.local.health import wait_until
from reclens.ops.local.servers import free_ports

_START_SECONDS = 20.0


@dataclass(frozen=True)
class Lookalike:
    """A running one."""

    url: str
    dialect: Literal["tgi", "openai"]

    def behave(self, *behaviours: dict[str, Any]) -> None:
        """The next requests get these behaviours, one each, then good ones again."""
        self._post("/control", {"next": list(behaviours)})

    def always(self, **behaviour: Any) -> None:
        """Every request without one of its own gets this behaviour, until the next reset."""
        self._post("/control", {"always": behaviour})

    def release(self) -> None:
        """Let go of the requests that are held; what it was asked stays known."""
        self._post("/release", {})

    def reset(self) -> None:
        """Forget all requests and behaviours."""
        self._post("/reset", {})

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What it was asked: ``prompt_hash``, ``headers``, ``body``."""
        return self._get("/log")["requests"]

    @property
    def peak(self) -> int:
        """Most requests in flight at once."""
        return self._get("/log")["peak"]

    def get(self, path: str) -> Any:
        """Answer to a GET, empty as None."""
        return self._get(path)

    def healthy(self) -> bool:
        """Whether it answers."""
        try:
            self._get("/health")
        except OSError:
            return False
        return True

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            return json.loads(response.read() or b"null")

    def _post(self, path: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(
            self.url + path,
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10):
            pass


@contextmanager
def lookalike(dialect: Literal["tgi", "openai"], folder: Path) -> Iterator[Lookalike]:
    """A look-alike for as long as the block runs."""
    (port,) = free_ports(1)
    log = folder / "lookalike.log"
    command = [sys.executable, tgi_lookalike.__file__, str(port), dialect]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    server = Lookalike(f"http://127.0.0.1:{port}", dialect)
    try:
        wait_until(
            server.healthy,
            alive=lambda: process.poll() is None,
            what="the look-alike",
            log=log,
            timeout_seconds=_START_SECONDS,
        )
        yield server
    finally:
        process.terminate()
        process.wait(10)
