"""The one place where errors become gRPC status, and a request gets its id."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import grpc
import structlog
from grpc import aio
from grpc_status import rpc_status

from reclens.adapters.grpc_errors import status_of
from reclens.errors import DeadlineExceeded, InternalError, InvalidInput, RecLensError

MAX_REQUEST_ID = 128
"""Longest request id, in characters."""

REQUEST_ID_KEY = "x-request-id"
"""Header with the request id, where the message has no field for it."""

_REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
logger = structlog.get_logger(__name__)


def request_id() -> str:
    """Id of the request that is being answered: the caller's, or one made for it."""
    return _REQUEST_ID.get()


class ErrorInterceptor(aio.ServerInterceptor):
    """Runs handlers under a request id and turns what they raise into status.

    ``RecLensError`` becomes its own code with details; anything else INTERNAL with nothing but
    the request's id, and is logged.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        # Streams are health and reflection only; they raise no errors of ours.
        if handler is None or handler.unary_unary is None:
            return handler
        method, behaviour = handler_call_details.method, handler.unary_unary

        async def guarded(request: Any, context: Any) -> Any:
            identifier = _identifier(request, context)
            _REQUEST_ID.set(identifier[:MAX_REQUEST_ID])
            structlog.contextvars.bind_contextvars(request_id=request_id(), method=method)
            try:
                check_request_id(identifier)
                return await behaviour(request, context)
            except RecLensError as error:
                logger.info("refused", code=error.grpc_code, reason=error.reason, error=str(error))
                failure = error
            except TimeoutError:
                failure = DeadlineExceeded("the deadline passed.", remedy="allow more time.")
            except (aio.AbortError, asyncio.CancelledError):
                raise
            except Exception:
                logger.exception("handler failed")
                failure = InternalError(
                    f"the server failed on request {request_id()}.",
                    remedy="look for that id in the server's log.",
                )
            return await context.abort_with_status(
                rpc_status.to_status(status_of(failure, request_id()))
            )

        return grpc.unary_unary_rpc_method_handler(
            guarded,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def check_request_id(identifier: str) -> None:
    """Refuse ids that are too long to log.

    Raises:
        InvalidInput: names the field.
    """
    if len(identifier) > MAX_REQUEST_ID:
        raise InvalidInput(
            f"{len(identifier)} characters are too long an id.",
            field="request_id",
            remedy=f"use at most {MAX_REQUEST_ID}.",
        )


def _identifier(request: Any, context: Any) -> str:
    headers = dict(context.invocation_metadata() or ())
    given = getattr(request, "request_id", "") or headers.get(REQUEST_ID_KEY, "")
    return str(given) or uuid.uuid4().hex


def seconds_left(context: Any, default: float) -> float:
    """Seconds until the caller's deadline, ``default`` where it set none.

    Raises:
        DeadlineExceeded: it has passed.
    """
    left = context.time_remaining()
    if left is None:
        return default
    if left <= 0:
        raise DeadlineExceeded("the deadline passed.", remedy="allow more time.")
    return left
