"""OpenTelemetry traces from the caller through the gateway to a batch of the model.

Off, and without the libraries, until `configure_tracing`. One hop carries many requests, so each
takes its own trace context along (`RankRequest.traceparent`), and the batch is linked to, not their
parent.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import Field

from reclens.errors import NotReady
from reclens.platform.scrubbing import scrub
from reclens.platform.settings.models import Section

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_SCOPE: Final = "reclens"
logger = structlog.get_logger(__name__)
_tracer: Tracer | None = None


class TraceSettings(Section):
    """Traces, sent by OTLP over gRPC. Where to, and all else, is set by the ``OTEL_...`` variables
    of OpenTelemetry."""

    enabled: bool | None = None
    """None: where ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``..._TRACES_ENDPOINT``) is set."""
    share: float = Field(default=1.0, ge=0, le=1)
    """Share of requests to trace, of those whose caller has not decided it."""


def configure_tracing(service: str, settings: TraceSettings) -> TracerProvider | None:
    """Trace from here on, if the settings say so.

    Returns:
        What has to be shut down at the end, so that nothing is lost; None: tracing is off.

    Raises:
        NotReady: it is asked for and not installed.
    """
    wanted = settings.enabled
    if wanted is None:
        wanted = any(os.environ.get(name) for name in _ENDPOINTS)
    if not wanted or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import (  # noqa: PLC0415
            ParentBased,
            TraceIdRatioBased,
        )
    except ImportError as error:
        raise NotReady(
            "OpenTelemetry is not installed.",
            field="traces.enabled",
            remedy="install it: pip install --require-hashes -r locks/gateway.txt.",
        ) from error
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"reclens-{service}"}),
        sampler=ParentBased(TraceIdRatioBased(settings.share)),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use_provider(provider)
    logger.info("tracing", share=settings.share)
    return provider


def use_provider(provider: TracerProvider | None) -> None:
    """Trace with ``provider`` from here on; None: do not trace."""
    global _tracer  # noqa: PLW0603
    _tracer = provider.get_tracer(_SCOPE) if provider is not None else None


def tracing() -> bool:
    """Whether calls are traced."""
    return _tracer is not None


def begin_span(path: str, parent: str) -> tuple[Span, str]:
    """Begin the span of a call; `tracing` has said that there is one.

    Args:
        path: the method, e.g. ``/reclens.api.steering.v1.SteeringService/Recommend``.
        parent: W3C trace context of the caller; empty or unreadable: a new trace.

    Returns:
        The span, and the trace context to send on.
    """
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    assert _tracer is not None
    service, _, method = path.lstrip("/").partition("/")
    span = _tracer.start_span(
        f"{service}/{method}",
        context=_context(parent),
        kind=SpanKind.SERVER,
        attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": method},
    )
    return span, _header(span.get_span_context())


def end_span(span: Span, code: str, number: int, **attributes: str | int) -> None:
    """End the span of a call.

    Args:
        span: as `begin_span` gave it.
        code: name of the call's status.
        number: of the status.
        attributes: what else is known of the call, without users, histories or items.
    """
    if span.is_recording():
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

        named = {
            f"reclens.{name}": scrub(value) if isinstance(value, str) else value
            for name, value in attributes.items()
        }
        span.set_attributes({"rpc.grpc.status_code": number, **named})
        if code in _SERVER_FAULTS:
            span.set_status(Status(StatusCode.ERROR, code))
    span.end()


def record_batch(
    traceparents: Sequence[str], started_ns: int, ended_ns: int, name: str = "model batch"
) -> None:
    """Record a pass of the model over several requests, after it.

    The batch is a trace of its own; each request that is traced gets a span in its own trace, with
    a link to the batch's.

    Args:
        traceparents: W3C trace context of each request; empty: it is not traced.
        started_ns: when the pass began, ``time.time_ns``.
        ended_ns: when it ended.
        name: of the spans.
    """
    if _tracer is None or not any(traceparents):
        return
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.context import Context  # noqa: PLC0415

    batch = _tracer.start_span(
        name,
        context=Context(),
        start_time=started_ns,
        attributes={"reclens.batch_requests": len(traceparents)},
    )
    links = [trace.Link(batch.get_span_context())]
    for index, traceparent in enumerate(traceparents):
        if traceparent:
            span = _tracer.start_span(
                f"{name} entry",
                context=_context(traceparent),
                kind=trace.SpanKind.INTERNAL,
                links=links,
                start_time=started_ns,
                attributes={
                    "reclens.batch_index": index,
                    "reclens.batch_requests": len(traceparents),
                },
            )
            span.end(end_time=ended_ns)
    batch.end(end_time=ended_ns)


_SERVER_FAULTS: Final = {"UNKNOWN", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "DATA_LOSS"}


def _context(parent: str) -> Any:
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    # An empty context, not the current one: nothing of ours is ambient.
    carrier = {"traceparent": parent} if parent else {}
    return TraceContextTextMapPropagator().extract(carrier, context=Context())


def _header(context: Any) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
