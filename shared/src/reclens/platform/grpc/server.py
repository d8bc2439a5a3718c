"""A gRPC server as every service runs it: intercepted calls, health, reflection, TLS, drain."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar

import structlog
from grpc import aio
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from pydantic import Field

from reclens.errors import InvalidInput
from reclens.platform.grpc import health
from reclens.platform.grpc.admission import Admission, AdmissionSettings, Bodies
from reclens.platform.grpc.auth import AuthSettings, Rule, Scope, TokenBook, require_private
from reclens.platform.grpc.calls import AccessLog, LogSettings
from reclens.platform.grpc.interceptor import Interceptor
from reclens.platform.grpc.rates import RateLimits
from reclens.platform.grpc.sessions import Sessions
from reclens.platform.grpc.tls import TlsSettings, server_credentials
from reclens.platform.observability import metrics
from reclens.platform.observability.tracing import TraceSettings, configure_tracing
from reclens.platform.polling import Poller
from reclens.platform.settings.models import Section

S = TypeVar("S")

_OVERALL = ""
logger = structlog.get_logger(__name__)


class ServerSettings(Section):
    """What every gRPC server takes."""

    listen: str
    """``host:port`` to listen on; port 0 takes a free one."""
    max_message_bytes: int = Field(default=8 << 20, ge=1 << 16, le=1 << 30)
    """Largest request and response."""
    lame_duck_seconds: float = Field(default=0, ge=0, le=3600)
    """On SIGTERM, how long calls are still taken after the health service says NOT_SERVING, so that
    balancers notice first."""
    drain_seconds: float = Field(default=15, ge=0, le=3600)
    """After that, how long requests under way may take to finish."""
    connection_seconds: float = Field(default=3600, gt=0, le=604_800)
    """How long a connection may last, give or take a tenth. Then its client makes another one, and
    what is under way on it has as long again as a stream may last."""
    poll_seconds: float = Field(default=2, gt=0, le=3600)
    """How often the releases' pointers are read."""
    reflection: bool = True
    """Tell callers the methods and messages, for grpcurl and the like. With tokens it takes the
    scope read."""
    processes: int = Field(default=1, ge=1, le=256)
    """Processes that share the port; the kernel gives each connection to one of them."""
    metrics_listen: str = ""
    """``host:port`` of Prometheus metrics over HTTP. With several processes each takes a port: this
    one and those after it. Empty: nothing is counted."""
    tls: TlsSettings = TlsSettings()
    """Encryption."""
    auth: AuthSettings = AuthSettings()
    """Who may call."""
    admission: AdmissionSettings = AdmissionSettings()
    """How much is taken on."""
    log: LogSettings = LogSettings()
    """What is logged of requests."""
    traces: TraceSettings = TraceSettings()
    """OpenTelemetry."""


class GrpcServer:
    """One ``grpc.aio`` server. Not serving, as its health service says, until told otherwise.

    Args:
        settings: of the server.
        service: name of the process in traces.

    Raises:
        InvalidInput: certificates or tokens cannot be used, or tokens would go in plain text.
        MissingData: there is no tokens file.
    """

    def __init__(self, settings: ServerSettings, service: str = "server") -> None:
        self._settings = settings
        auth = settings.auth
        require_private(
            settings.listen,
            auth,
            encrypted=settings.tls.enabled,
            certificates=settings.tls.require_client_cert,
        )
        self._credentials = server_credentials(settings.tls) if settings.tls.enabled else None
        self._tokens = TokenBook(auth.tokens_file) if auth.tokens_file else None
        self._limits = (
            RateLimits(
                auth.rates_redis.get_secret_value() if auth.rates_redis else "",
                fail_open=auth.rates_fail_open,
            )
            if self._tokens
            else None
        )
        taken, largest = settings.admission, settings.max_message_bytes
        self._interceptor = Interceptor(
            admission=Admission(taken.max_running, client_limit=taken.max_client_running),
            sessions=Sessions(
                taken.max_sessions,
                taken.max_client_sessions,
                seconds=taken.session_seconds,
                idle_seconds=taken.idle_seconds,
                max_kept=taken.max_body_bytes,
            ),
            bodies=Bodies(taken.max_body_bytes, largest, taken.body_seconds),
            max_bytes=largest,
            tokens=self._tokens,
            limits=self._limits,
            certificates=settings.tls.require_client_cert,
            log=AccessLog(settings.log),
        )
        self._traces = configure_tracing(service, settings.traces)
        self._metrics: metrics.MetricsServer | None = None
        self._following: Poller | None = None
        self._health = health.Health()
        self._names: list[str] = []
        self._serving: dict[str, bool] = {}
        pending = taken.max_pending
        self._server = aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                # Without it a second server on the same port would silently share its calls.
                ("grpc.so_reuseport", int(settings.processes > 1)),
                # Balancers drop quiet connections without telling either end.
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
                # Otherwise a sender may put megabytes into a stream that nobody reads.
                ("grpc.http2.bdp_probe", 0),
                ("grpc.max_concurrent_streams", taken.max_streams),
                ("grpc.max_connection_age_ms", int(settings.connection_seconds * 1e3)),
                ("grpc.max_connection_age_grace_ms", int(taken.session_seconds * 1e3)),
                # From the first on more and more calls are dropped, from the second on all.
                ("grpc.server.max_pending_requests", pending),
                ("grpc.server.max_pending_requests_hard_limit", 2 * pending),
            ],
        )

    def add(
        self,
        register: Callable[[S, Any], None],
        servicer: S,
        name: str,
        rules: Mapping[str, Rule],
    ) -> None:
        """Serve ``servicer`` under the full service name ``name``.

        Args:
            register: the generated function that adds it to a server.
            servicer: answers.
            name: full name of the service.
            rules: what calling each method takes; every method has one.
        """
        self._add(register, servicer, rules)
        self._names.append(name)

    def _add(
        self, register: Callable[[S, Any], None], servicer: S, rules: Mapping[str, Rule]
    ) -> None:
        # What generated code adds to goes to the interceptor; the second call has all of the first.
        intercepted = SimpleNamespace(
            add_generic_rpc_handlers=lambda _handlers: None,
            add_registered_method_handlers=partial(self._interceptor.add, rules=rules),
        )
        register(servicer, intercepted)

    async def start(self) -> str:
        """Start listening.

        Returns:
            The address that clients reach it at, with the port that was taken.

        Raises:
            InvalidInput: an address cannot be listened on.
        """
        settings = self._settings
        for name in (_OVERALL, *self._names):
            if name not in self._serving:
                await self.set_serving(name, False)
        self._add(self._health.register, self._health, health.RULES)
        self._server.add_generic_rpc_handlers((self._interceptor,))
        if settings.reflection:
            self._add_reflection()
        try:
            port = (
                self._server.add_insecure_port(settings.listen)
                if self._credentials is None
                else self._server.add_secure_port(settings.listen, self._credentials)
            )
        except RuntimeError as error:
            raise InvalidInput(
                f"cannot listen on {settings.listen}.",
                field="listen",
                remedy="choose a free host:port.",
            ) from error
        if settings.metrics_listen:
            self._metrics = metrics.serve_metrics(settings.metrics_listen)
        if self._tokens is not None:
            refresh = partial(asyncio.to_thread, self._tokens.refresh)
            self._following = Poller(
                refresh, settings.auth.reload_seconds, "tokens not reloaded, those before stay"
            )
            await self._following.start()
        await self._server.start()
        host = settings.listen.rpartition(":")[0]
        address = f"{host}:{port}" if host else settings.listen
        logger.info(
            "listening",
            address=address,
            services=self._names,
            tls=settings.tls.enabled,
            tokens=self._tokens is not None,
            metrics=self._metrics.address if self._metrics else "",
        )
        return address

    async def set_serving(self, name: str, serving: bool) -> None:
        """Tell the health service whether ``name`` can answer; overall health follows all names."""
        self._serving[name] = serving
        self._health.set(name, serving)
        if name:
            overall = all(self._serving.get(known, False) for known in self._names)
            self._health.set(_OVERALL, overall)

    async def stop(self, grace: float | None = None) -> None:
        """Report NOT_SERVING, wait until balancers know, refuse new calls, let those under way
        finish."""
        self._health.stop()
        if grace is None and self._settings.lame_duck_seconds:
            await asyncio.sleep(self._settings.lame_duck_seconds)
        self._interceptor.drain()
        await self._server.stop(self._settings.drain_seconds if grace is None else grace)
        if self._following is not None:
            await self._following.stop()
        if self._limits is not None:
            await self._limits.close()
        if self._metrics is not None:
            self._metrics.close()
        if self._traces is not None:
            await asyncio.to_thread(self._traces.shutdown)

    def _add_reflection(self) -> None:
        names = [*self._names, health.NAME, reflection.SERVICE_NAME]
        servicer = reflection.aio.ReflectionServicer(names)
        rules = {"ServerReflectionInfo": Rule(Scope.READ)}
        self._add(reflection_pb2_grpc.add_ServerReflectionServicer_to_server, servicer, rules)


async def until_signalled() -> None:
    """Wait for SIGTERM or SIGINT. A second SIGTERM is ignored, a second SIGINT ends at once."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    with contextlib.suppress(ValueError):
        loop.remove_signal_handler(signal.SIGINT)
