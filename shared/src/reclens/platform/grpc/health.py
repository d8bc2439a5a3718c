"""The health service: whether a server can answer, for anybody who asks.

The one of ``grpc_health`` sends to watchers while it holds the lock that telling a new state takes,
so that one watcher who does not read stops the server from telling it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from reclens.errors import NotFound
from reclens.platform.grpc.auth import Rule

NAME: Final = "grpc.health.v1.Health"
"""Full name of the service."""
RULES: Final = {
    "Check": Rule(None, max_bytes=1 << 10),
    "Watch": Rule(None, max_bytes=1 << 10),
}
"""It takes no token."""
_Status = health_pb2.HealthCheckResponse.ServingStatus


class Health:
    """The states of a server's services by their full names; the server's own is that of ``""``."""

    def __init__(self) -> None:
        self._states: dict[str, bool] = {}
        self._changed = asyncio.Event()
        self._stopping = False

    def set(self, name: str, serving: bool) -> None:
        """Tell whether ``name`` can answer. Without effect once the server is stopping."""
        if not self._stopping and self._states.get(name) != serving:
            self._states[name] = serving
            self._wake()

    def stop(self) -> None:
        """From now on, nothing can answer."""
        self._stopping = True
        self._states = dict.fromkeys(self._states, False)
        self._wake()

    async def check(self, request: Any, _context: Any) -> Any:
        """Check, as the protocol has it."""
        if request.service not in self._states:
            raise NotFound("there is no such service.", field="service", remedy="leave it empty.")
        return self._answer(request.service)

    async def watch(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        """Watch, as the protocol has it."""
        async for request in requests:
            told = None
            while True:
                changed, answer = self._changed, self._answer(request.service)
                if answer != told:
                    told = answer
                    yield answer
                await changed.wait()

    def register(self, _service: Any, server: Any) -> None:
        """Add it to a server, as generated code does."""
        parse = health_pb2.HealthCheckRequest.FromString
        write = health_pb2.HealthCheckResponse.SerializeToString
        handlers = {
            "Check": grpc.unary_unary_rpc_method_handler(self.check, parse, write),
            "Watch": grpc.stream_stream_rpc_method_handler(self.watch, parse, write),
        }
        server.add_registered_method_handlers(NAME, handlers)

    def _answer(self, name: str) -> Any:
        serving = self._states.get(name)
        status = "SERVICE_UNKNOWN" if serving is None else "SERVING" if serving else "NOT_SERVING"
        return health_pb2.HealthCheckResponse(status=_Status.Value(status))

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
