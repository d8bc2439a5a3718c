"""What every call passes on its way to a handler: identity, admission, rights, rates, figures.

This is one handler around each method, made once when a service is added, and not one of the
interceptors of `grpc.aio`, which would build their chain anew for every call. To gRPC all methods
take streams, so that it is this handler that reads messages, as bytes. So a call that is refused
for its token or its load leaves its message with its sender, and bytes that are no message are the
caller's fault and not, as gRPC has it, the server's.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from time import monotonic, perf_counter
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from grpc import aio

from reclens.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidInput,
    RateLimited,
    RecLensError,
)
from reclens.platform.grpc.admission import Admission, Bodies, check_size
from reclens.platform.grpc.auth import (
    AUTHORIZATION_KEY,
    Rule,
    Scope,
    TokenBook,
    TokenEntry,
    common_name,
)
from reclens.platform.grpc.calls import (
    MAX_REQUEST_ID,
    REQUEST_ID_KEY,
    TRACE_KEY,
    AccessLog,
    Call,
    LogSettings,
    begin_call,
    current_call,
)
from reclens.platform.grpc.rates import RateLimits
from reclens.platform.grpc.sessions import Sessions
from reclens.platform.observability import metrics, tracing
from reclens.rpc_status import abort_with

_GIVEN_UP = {"CANCELLED", "DEADLINE_EXCEEDED"}
_MAX_BYTES = 8 << 20
# What those who show no token may take up, for whom the rest must not be kept waiting.
_PUBLIC_PLACES, _PUBLIC_SECONDS, _PUBLIC_SHARE = 8, 2.0, 0.25
_PUBLIC_STREAMS, _PUBLIC_STREAMS_OF_ONE = 64, 8

logger = structlog.get_logger(__name__)


class Interceptor(grpc.GenericRpcHandler):
    """Stands before the services of one server, which asks it alone for handlers.

    Args:
        admission: bounds calls under way. None: no bound.
        sessions: the streams that are open.
        bodies: bounds the memory of messages. None: as `AdmissionSettings` has it by default.
        max_bytes: of the largest message.
        tokens: who may call. None: everybody.
        limits: counts what clients with a rate send. None: no client has one.
        certificates: callers without a token are named by their certificates.
        log: writes lines about calls.
    """

    def __init__(
        self,
        *,
        admission: Admission | None = None,
        sessions: Sessions | None = None,
        bodies: Bodies | None = None,
        max_bytes: int = _MAX_BYTES,
        tokens: TokenBook | None = None,
        limits: RateLimits | None = None,
        certificates: bool = False,
        log: AccessLog | None = None,
    ) -> None:
        self.admission = admission
        self.sessions = sessions or Sessions(0)
        self.bodies = bodies or Bodies(256 << 20, max_bytes, 10.0)
        self.public_sessions = Sessions(
            _PUBLIC_STREAMS, _PUBLIC_STREAMS_OF_ONE, seconds=3600, idle_seconds=3600
        )
        self.public_bodies = Bodies(
            _PUBLIC_PLACES * max_bytes, max_bytes, _PUBLIC_SECONDS, _PUBLIC_SHARE
        )
        self.max_bytes = max_bytes
        self.tokens = tokens
        self.limits = limits
        self.certificates = certificates
        self._log = log or AccessLog(LogSettings())
        self._handlers: dict[str, grpc.RpcMethodHandler] = {}

    def add(
        self, name: str, handlers: Mapping[str, grpc.RpcMethodHandler], rules: Mapping[str, Rule]
    ) -> None:
        """Stand before a service.

        Args:
            name: full name of the service.
            handlers: by method, as the generated code has them.
            rules: by method; what calling it takes.

        Raises:
            ValueError: a method has no rule, so that none is open because it was forgotten.
        """
        missing = handlers.keys() - rules.keys()
        if missing:
            raise ValueError(f"{name} has methods without a rule: {', '.join(sorted(missing))}")
        for method, handler in handlers.items():
            if not _implemented(handler):
                # gRPC answers UNIMPLEMENTED to what it finds no handler for.
                logger.warning("method is not implemented", service=name, method=method)
                continue
            self._handlers[f"/{name}/{method}"] = (
                grpc.stream_stream_rpc_method_handler(_stream(self, handler, rules[method]))
                if handler.unary_unary is None
                else grpc.stream_unary_rpc_method_handler(_unary(self, handler, rules[method]))
            )

    def drain(self) -> None:
        """Let all streams end after what they have under way; open no more."""
        self.sessions.drain()
        self.public_sessions.drain()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a call; None where there is none. gRPC asks in the task that then runs the
        handler, so that the current call is known there too."""
        handler = self._handlers.get(handler_call_details.method)
        if handler is None:
            return None
        call = begin_call(
            handler_call_details.method, handler_call_details.invocation_metadata or ()
        )
        call.started = perf_counter()
        return handler

    # --- the way in ------------------------------------------------------------------------------

    def trace(self, call: Call) -> None:
        """Begin the span of a call that was let in, where calls are traced."""
        if tracing.tracing():
            call.span, call.traceparent = tracing.begin_span(call.method, call.header(TRACE_KEY))

    def authenticate(self, call: Call, context: Any, rule: Rule) -> TokenEntry | None:
        """What the client that calls may do; None where nobody is asked.

        Raises:
            Unauthenticated: it did not prove who it is.
            PermissionDenied: it may never call this method.
        """
        if self.tokens is not None:
            client = self.tokens.client(
                call.header(AUTHORIZATION_KEY),
                lambda: common_name(context) if self.certificates else "",
            )
            call.client = client.client
            if isinstance(rule.scope, Scope):
                client.check(rule.scope)
            return client
        if self.certificates:
            call.client = common_name(context)
        return None

    def identify(self, call: Call, request: Any) -> None:
        """Give the call its id.

        Raises:
            InvalidInput: the caller's is too long.
        """
        call.identify(getattr(request, "request_id", "") or call.header(REQUEST_ID_KEY))

    async def authorise(self, client: TokenEntry, rule: Rule, request: Any) -> None:
        """Check a client's rights to this message, and count it against its rate.

        Raises:
            PermissionDenied, RateLimited: not this, or not now.
        """
        scope = rule.required(request)
        if scope is not None:
            client.check(scope)
        rate = client.requests_in_seconds
        if rate is not None and self.limits is not None:
            weight = rule.weight(request) if rule.weight else 1
            await self.limits.take(client.client, rate, weight)

    # --- the way out -----------------------------------------------------------------------------

    def outcome(
        self, call: Call, error: BaseException, context: Any
    ) -> tuple[str, RecLensError | None]:
        """The code that ``error`` ends a call with, and what its caller is told; None where the
        caller gave up, or was told already."""
        if isinstance(error, Exception) and not isinstance(error, aio.AbortError):
            failure = self.failure(call, error)
            return failure.grpc_code, failure
        left = context.time_remaining()
        return "DEADLINE_EXCEEDED" if left is not None and left <= 0 else "CANCELLED", None

    def failure(self, call: Call, error: Exception) -> RecLensError:
        """What the caller is told of ``error``."""
        if not call.request_id:
            # Refused before its message was read.
            call.identify(call.header(REQUEST_ID_KEY)[:MAX_REQUEST_ID])
        if isinstance(error, RecLensError):
            self._log.refused(call, error)
            metrics.current().refusal(call.method, error.reason).inc()
            return error
        if isinstance(error, TimeoutError):
            return DeadlineExceeded("the deadline passed.", remedy="allow more time.")
        logger.exception("handler failed", method=call.method, request_id=call.request_id)
        return InternalError(
            f"the server failed on request {call.request_id}.",
            remedy="look for that id in the server's log.",
        )

    def ended(self, call: Call, code: str) -> None:
        """Count, log and trace a call that has ended."""
        seconds = perf_counter() - call.started
        if metrics.enabled():
            metrics.observe_call(call.method, code, call.release, seconds)
            running = self.admission.running if self.admission is not None else 0
            metrics.current().running.set(running)
            metrics.current().sessions.set(self.sessions.open)
        if self._log.on:
            self._log.ended(call, code, seconds)
        if call.span is not None:
            client = {"client": call.client} if call.client else {}
            tracing.end_span(
                call.span,
                code,
                code_pb2.Code.Value(code),
                request_id=call.request_id,
                release=call.release[:128],
                edits=call.edits,
                **client,
            )
            call.span = None


def _implemented(handler: Any) -> bool:
    """Whether the method is ours: those of the generated base are plain functions."""
    return inspect.iscoroutinefunction(handler.unary_unary) or inspect.isasyncgenfunction(
        handler.stream_stream
    )


def _unary(interceptor: Interceptor, handler: Any, rule: Rule) -> Callable[[Any, Any], Any]:
    parse, write = handler.request_deserializer, handler.response_serializer
    behaviour, public = handler.unary_unary, rule.scope is None
    admission = None if public else interceptor.admission
    bodies = interceptor.public_bodies if public else interceptor.bodies
    largest = min(rule.max_bytes or interceptor.max_bytes, interceptor.max_bytes)
    open_to_all = public or (interceptor.tokens is None and not interceptor.certificates)

    async def answer(_messages: Any, context: Any) -> bytes:
        call = current_call()
        entered, message, request, code = False, b"", None, "OK"
        try:
            client = None if open_to_all else interceptor.authenticate(call, context, rule)
            if admission is not None:
                admission.enter(context.time_remaining(), call.client)
                entered = True
            interceptor.trace(call)
            sender = _host(context) if public else call.client
            message = await bodies.read(context, sender, largest)
            request = _parsed(parse, message)
            interceptor.identify(call, request)
            call.release = getattr(request, "release", "")
            call.edits = len(getattr(request, "edits", ()))
            if client is not None:
                await interceptor.authorise(client, rule, request)
            return write(await behaviour(request, context))
        except BaseException as error:
            code, failure = interceptor.outcome(call, error, context)
            if failure is None:
                raise
        finally:
            bodies.go(message)
            # What aborts a call makes a cycle of its frames, which may stay for long.
            message = request = None
            if entered:
                assert admission is not None
                admission.leave(call.client, answered=code not in _GIVEN_UP)
            if not public:
                interceptor.ended(call, code)
        return await abort_with(failure.bare(), call.request_id, context)

    return answer


def _stream(interceptor: Interceptor, handler: Any, rule: Rule) -> Callable[[Any, Any], Any]:
    parse, write = handler.request_deserializer, handler.response_serializer
    behaviour, public = handler.stream_stream, rule.scope is None
    sessions = interceptor.public_sessions if public else interceptor.sessions
    largest = min(rule.max_bytes or interceptor.max_bytes, interceptor.max_bytes)
    open_to_all = public or (interceptor.tokens is None and not interceptor.certificates)

    async def answer(messages: AsyncIterator[bytes], context: Any) -> None:
        call = current_call()
        code, failure = "OK", None
        session = None

        def authenticate() -> TokenEntry | None:
            return None if open_to_all else interceptor.authenticate(call, context, rule)

        try:
            authenticate()
            interceptor.identify(call, None)
            session = sessions.enter(_host(context) if public else call.client, authenticate)
            interceptor.trace(call)

            async def requests() -> AsyncIterator[Any]:
                async for message in session.messages(messages):
                    check_size(message, largest)
                    sessions.keep(session, len(message))
                    request = _parsed(parse, message)
                    # Anew for each: the token may have been revoked, or changed, meanwhile.
                    client = authenticate()
                    if client is not None:
                        await _authorise_step(interceptor, client, rule, request)
                    yield request

            # Closed at once when the caller has gone, not whenever it is collected.
            async with aclosing(behaviour(requests(), context)) as responses:
                async for response in responses:
                    await context.write(write(response))
                    session.used = monotonic()
            if session.ending is not None:
                raise session.ending
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and session and session.ending:
                # It is this server that ends it, not its caller.
                error = session.ending
            code, failure = interceptor.outcome(call, error, context)
            if failure is None:
                raise
        finally:
            if session is not None:
                sessions.leave(session)
            if not public:
                interceptor.ended(call, code)
        if failure is not None:
            await abort_with(failure.bare(), call.request_id, context)

    return answer


def _host(context: Any) -> str:
    """Where a call comes from, without the port."""
    return context.peer().rpartition(":")[0]


async def _authorise_step(
    interceptor: Interceptor, client: TokenEntry, rule: Rule, request: Any
) -> None:
    # A session that is too fast is slowed down, not ended: of steps that wait, the newest counts.
    while True:
        try:
            await interceptor.authorise(client, rule, request)
        except RateLimited as error:
            await asyncio.sleep(error.retry_seconds)
        else:
            return


def _parsed(parse: Callable[[bytes], Any] | None, message: bytes) -> Any:
    try:
        return parse(message) if parse is not None else message
    except DecodeError as error:
        raise InvalidInput(
            "the bytes are not a message of this method.",
            remedy="encode the request with the published protos; strings are UTF-8.",
        ) from error
