"""RecLens errors as ``google.rpc.Status`` and back: the same error on both ends of a wire; and
which calls channels repeat by themselves.

It stands beside `reclens.errors`, as clients need it without anything of a server's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

import grpc
from google.protobuf import any as packing
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from reclens.errors import (
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    InternalError,
    InvalidInput,
    NotFound,
    NotReady,
    Overloaded,
    PermissionDenied,
    RecLensError,
    Unauthenticated,
    Unavailable,
)

M = TypeVar("M", bound=Message)

DOMAIN: Final = "reclens"
"""``ErrorInfo.domain`` of every deliberate error."""

_DROPPED_RETRY_SECONDS: Final = 0.5
CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
"""Status codes by their canonical numbers."""

_DETAILS_KEY: Final = "grpc-status-details-bin"
_FIELD_CODES: Final = {"INVALID_ARGUMENT", "NOT_FOUND"}
# Status and details travel in trailers, which peers cap at 8 KB; what callers sent us is quoted
# in them.
_MAX_MESSAGE_BYTES: Final = 600
_MAX_REMEDY_BYTES: Final = 300
_MAX_FIELD_BYTES: Final = 120


def status_of(error: RecLensError, request_id: str = "") -> status_pb2.Status:
    """The wire form of ``error``: an ``ErrorInfo``, a field violation where a field is named, and a
    ``RetryInfo`` where it is known when to try again.

    ``ErrorInfo.metadata`` carries ``message``, ``remedy``, ``field``, ``retryable`` and
    ``request_id``, those that are not empty.
    """
    message = _clip(error.message, _MAX_MESSAGE_BYTES)
    remedy = _clip(error.remedy, _MAX_REMEDY_BYTES)
    field = _clip(error.field, _MAX_FIELD_BYTES)
    metadata = {
        "message": message,
        "remedy": remedy,
        "field": field,
        "retryable": str(error.retryable).lower(),
        "request_id": _clip(request_id, _MAX_FIELD_BYTES),
    }
    info = error_details_pb2.ErrorInfo(
        reason=error.reason,
        domain=DOMAIN,
        metadata={key: value for key, value in metadata.items() if value},
    )
    details = [packing.pack(info)]
    if field and error.grpc_code in _FIELD_CODES:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
        details.append(packing.pack(error_details_pb2.BadRequest(field_violations=[violation])))
    if error.retry_seconds > 0:
        delay = timedelta(seconds=error.retry_seconds)
        details.append(packing.pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.grpc_code),
        # The sentence is put together again from the clipped parts.
        message=RecLensError(message, field=field, remedy=remedy).sentence,
        details=details,
    )


async def abort_with(error: RecLensError, request_id: str, context: Any) -> Any:
    """End a call of ``grpc.aio`` with ``error``; its status travels in the trailers."""
    status = status_of(error, request_id)
    details = ((_DETAILS_KEY, status.SerializeToString()),)
    return await context.abort(CODES[status.code], status.message, details)


def error_of(
    code: grpc.StatusCode,
    message: str | None,
    trailers: Sequence[tuple[str, str | bytes]] | None,
    peer: str,
) -> RecLensError:
    """Rebuild the error that a call ended with.

    Args:
        code: status of the call.
        message: its text.
        trailers: trailing metadata, where details may be.
        peer: who was called, in words, for errors that the peer did not write itself.

    Returns:
        The class that the peer raised, by its reason; where it gave none, the nearest by code.
    """
    status = next(
        (
            status_pb2.Status.FromString(value)
            for key, value in trailers or ()
            if key == _DETAILS_KEY and isinstance(value, bytes)
        ),
        status_pb2.Status(),
    )
    info = _detail(status, error_details_pb2.ErrorInfo)
    if info is not None and info.domain == DOMAIN:
        retry = _detail(status, error_details_pb2.RetryInfo)
        return from_parts(
            code,
            reason=info.reason,
            message=info.metadata.get("message", message or ""),
            field=info.metadata.get("field", ""),
            remedy=info.metadata.get("remedy", ""),
            retry_seconds=retry.retry_delay.ToTimedelta().total_seconds() if retry else 0.0,
        )
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            return Unavailable(
                f"{peer} does not answer.", remedy="check that it runs; try again in a moment."
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(
                f"{peer} did not answer before the deadline.", remedy="allow more time."
            )
        case grpc.StatusCode.CANCELLED:
            # Whoever gives up a call does not ask what became of it. So the peer did, before it
            # read the call: see AdmissionSettings.max_pending.
            return Overloaded(
                f"{peer} dropped the call unread.",
                remedy="try again after the delay, or send less.",
                retry_seconds=_DROPPED_RETRY_SECONDS,
            )
        case _:
            return from_parts(code, reason="", message=message or f"{peer} answered {code.name}.")


def from_parts(
    code: grpc.StatusCode,
    *,
    reason: str,
    message: str,
    field: str = "",
    remedy: str = "",
    retry_seconds: float = 0.0,
) -> RecLensError:
    """The error with this reason; where none of ours has it, the nearest by ``code``."""
    chosen = _BY_REASON.get(reason)
    if chosen is None or chosen.grpc_code != code.name:
        chosen = _BY_CODE.get(code.name, InternalError)
    return chosen(message, field=field, remedy=remedy, retry_seconds=retry_seconds)


def write_failure(error: RecLensError, out: Any) -> None:
    """Write why an entry of a batch was refused.

    Args:
        error: why.
        out: a message with ``code``, ``reason``, ``field``, ``message`` and ``retry_seconds``;
            where it has no ``remedy``, the message says what to do as well.
    """
    out.code = code_pb2.Code.Value(error.grpc_code)
    out.reason, out.field, out.retry_seconds = error.reason, error.field, error.retry_seconds
    if "remedy" in out.DESCRIPTOR.fields_by_name:
        out.message, out.remedy = error.message, error.remedy
    else:
        out.message = str(RecLensError(error.message, remedy=error.remedy))


def failure_error(failure: Any) -> RecLensError:
    """The error that an entry, a variant or a step was refused with, see `write_failure`."""
    return from_parts(
        CODES.get(failure.code, grpc.StatusCode.UNKNOWN),
        reason=failure.reason,
        message=failure.message,
        field=failure.field,
        remedy=getattr(failure, "remedy", ""),
        retry_seconds=failure.retry_seconds,
    )


def channel_options(
    max_message_bytes: int, repeated: Sequence[Mapping[str, str]]
) -> list[tuple[str, int | str]]:
    """Options of a client's channel: keepalive, message caps, and which calls are repeated.

    Args:
        max_message_bytes: largest message, either way.
        repeated: by ``service`` and ``method``, those that the transport repeats within their
            deadlines where the server was `UNAVAILABLE`; one without either means all.
    """
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config = {"methodConfig": [{"name": repeated, "retryPolicy": policy}]}
    return [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]


def _classes(base: type[RecLensError]) -> Iterator[type[RecLensError]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _classes(cls)


# Of classes that share a reason, the one that stands for it comes first.
_BY_REASON: Final = {cls.reason: cls for cls in reversed([*_classes(RecLensError)])}
_NEAREST = (AlreadyExists, Cancelled, DeadlineExceeded, InvalidInput, NotFound, NotReady)
_NEAREST += (Overloaded, PermissionDenied, Unauthenticated, Unavailable)
_BY_CODE: Final[dict[str, type[RecLensError]]] = {cls.grpc_code: cls for cls in _NEAREST}
_BY_CODE["OUT_OF_RANGE"] = InvalidInput


def _detail(status: status_pb2.Status, kind: type[M]) -> M | None:
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            return message
    return None


def _clip(text: str, limit: int) -> str:
    encoded = text.encode("utf-8", errors="replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - 3].decode(errors="ignore") + "..."
