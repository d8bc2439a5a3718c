"""A gRPC server as every service runs it: health, reflection, limits, keepalive, drain."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from typing import TypeVar

import structlog
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from pydantic import Field

from reclens.adapters.grpc_interceptor import ErrorInterceptor
from reclens.adapters.settings import Section
from reclens.errors import InvalidInput

S = TypeVar("S")

_OVERALL = ""
logger = structlog.get_logger(__name__)


class ServerSettings(Section):
    """What every gRPC server takes."""

    listen: str
    """``host:port`` to listen on; port 0 takes a free one."""
    max_message_bytes: int = Field(default=8 << 20, ge=1 << 16, le=1 << 30)
    """Largest request and response."""
    drain_seconds: float = Field(default=15, ge=0, le=3600)
    """On SIGTERM, how long requests under way may take to finish."""
    poll_seconds: float = Field(default=2, gt=0, le=3600)
    """How often the releases' pointers are read."""


class GrpcServer:
    """One ``grpc.aio`` server. Not serving, as its health service says, until told otherwise."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._health = health.aio.HealthServicer()  # pyright: ignore[reportAttributeAccessIssue]
        self._names: list[str] = []
        self._serving: dict[str, bool] = {}
        self._server = aio.server(
            interceptors=[ErrorInterceptor()],
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                # Without it a second server on the same port would silently share its calls.
                ("grpc.so_reuseport", 0),
                # Balancers drop quiet connections without telling either end.
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )

    def add(self, register: Callable[[S, aio.Server], None], servicer: S, name: str) -> None:
        """Serve ``servicer`` under the full service name ``name``."""
        register(servicer, self._server)
        self._names.append(name)

    async def start(self) -> str:
        """Start listening.

        Returns:
            The address that clients reach it at, with the port that was taken.

        Raises:
            InvalidInput: the address cannot be listened on.
        """
        for name in (_OVERALL, *self._names):
            await self.set_serving(name, False)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            [*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        try:
            port = self._server.add_insecure_port(self._settings.listen)
        except RuntimeError as error:
            raise InvalidInput(
                f"cannot listen on {self._settings.listen}.",
                field="listen",
                remedy="choose a free host:port.",
            ) from error
        await self._server.start()
        host = self._settings.listen.rpartition(":")[0]
        address = f"{host}:{port}"
        logger.info("listening", address=address, services=self._names)
        return address

    async def set_serving(self, name: str, serving: bool) -> None:
        """Tell the health service whether ``name`` can answer; overall health follows all names."""
        self._serving[name] = serving
        await self._health.set(name, _status(serving))
        if name:
            overall = all(self._serving.get(known, False) for known in self._names)
            await self._health.set(_OVERALL, _status(overall))

    async def stop(self, grace: float | None = None) -> None:
        """Report NOT_SERVING, refuse new calls, let those under way finish."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._settings.drain_seconds if grace is None else grace)


def _status(serving: bool) -> health_pb2.HealthCheckResponse.ServingStatus:
    states = health_pb2.HealthCheckResponse.ServingStatus
    return states.Value("SERVING" if serving else "NOT_SERVING")  # pyright: ignore[reportReturnType]


async def until_signalled() -> None:
    """Wait for SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        await stopped.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):
                loop.remove_signal_handler(number)


def channel_options(max_message_bytes: int) -> list[tuple[str, int | str]]:
    """Options of a client channel: keepalive, message caps, retries of UNAVAILABLE only.

    All calls of RecLens only read, so the transport may repeat one that did not get through.
    """
    retry = (
        '{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4, '
        '"initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2, '
        '"retryableStatusCodes": ["UNAVAILABLE"]}}]}'
    )
    return [
        ("grpc.service_config", retry),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]
