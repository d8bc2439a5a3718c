"""Figures and traces, as Prometheus and an exporter of OpenTelemetry see them."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator

import grpc
import pytest
from echo_server import NAME, Running, ask, calling, echo_server, refused
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from reclens.platform.observability import metrics, tracing
from reclens.platform.observability.tracing import TraceSettings, configure_tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-2] + "00"


@pytest.fixture
def counting() -> Iterator[None]:
    """Metrics of the test's own; nothing is counted after it."""
    metrics.disable()
    yield
    metrics.disable()


async def samples(running: Running) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What Prometheus would scrape."""
    metrics = running.server._metrics
    assert metrics is not None
    url = f"http://{metrics.address}/metrics"
    answer = await asyncio.to_thread(urllib.request.urlopen, url)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.read().decode())
        for sample in family.samples
    }


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())


async def test_calls_are_counted_by_method_code_and_known_release(counting: None) -> None:
    method = f"/{NAME}/Recommend"
    metrics.set_releases({"default": "v1", "spring": "v7"})
    async with (
        echo_server(metrics_listen="127.0.0.1:0", admission={"max_running": 1}) as running,
        calling(running) as caller,
    ):
        await caller.recommend(ask())
        await caller.recommend(ask(release="spring"))
        # What callers make up must not become labels.
        for n in range(5):
            await caller.recommend(ask(release=f"made-up-{n}"))
        await refused(caller.raw(b"\xff"))
        waiting = asyncio.ensure_future(caller.recommend(ask("wait")))
        await running.echo.entered.acquire()
        await refused(caller.recommend(ask()))
        running.echo.go.set()
        await waiting
        metrics.set_releases({"default": "v2", "spring": "v7"})
        metrics.current().batch_size.observe(3)
        for operation in ("add", "add", "ablate"):
            metrics.current().edits.labels(operation).inc()
        metrics.observe_effect("default", 0.35, 0.4)
        found = await samples(running)

    def calls(code: str, release: str) -> float:
        key = labels(method=method, code=code, release=release)
        return found["reclens_request_seconds_count", key]

    assert calls("OK", "default") == 2
    assert calls("OK", "spring") == 1
    assert calls("OK", "other") == 5
    assert calls("INVALID_ARGUMENT", "default") == 1
    assert calls("RESOURCE_EXHAUSTED", "default") == 1
    refusals = "reclens_refusals_total"
    assert found[refusals, labels(method=method, reason="OVERLOADED")] == 1
    assert found[refusals, labels(method=method, reason="INVALID_INPUT")] == 1
    assert found["reclens_requests_running", frozenset()] == 0
    info = {key for name, key in found if name == "reclens_release_info"}
    assert info == {labels(release="default", version="v2"), labels(release="spring", version="v7")}
    assert found["reclens_batch_requests_bucket", labels(le="2.0")] == 0
    assert found["reclens_batch_requests_bucket", labels(le="4.0")] == 1
    assert found["reclens_edits_total", labels(operation="add")] == 2
    overlap = "reclens_effect_overlap_bucket"
    assert found[overlap, labels(release="default", le="0.3")] == 0
    assert found[overlap, labels(release="default", le="0.4")] == 1


def test_until_it_is_asked_for_nothing_is_counted(counting: None) -> None:
    metrics.current().batch_size.observe(1)
    metrics.current().edits.labels("add").inc()
    metrics.current().refusal("method", "reason").inc()
    metrics.observe_call("method", "OK", "", 0.1)
    metrics.observe_rate_limited("client")
    metrics.observe_effect("default", 0.35, 0.4)
    assert not metrics.enabled()
    assert metrics.enable().registry.get_sample_value("reclens_batch_requests_count") == 0


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Where spans end up."""
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracing.use_provider(provider)
    yield memory
    tracing.use_provider(None)


def hexadecimal(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


async def test_span_of_a_call_is_its_callers_child_and_sent_on(
    exporter: InMemorySpanExporter,
) -> None:
    async with echo_server() as running, calling(running) as caller:
        request = ask("user-4711", edits=2, request_id="r-1")
        answer = await caller.recommend(request, metadata=(("traceparent", PARENT),))
        sent_on = answer.versions.release
        assert (await caller.recommend(ask())).versions.release[3:35] != PARENT[3:35]
    first, second = exporter.get_finished_spans()
    trace, span = hexadecimal(first)
    assert sent_on == f"00-{trace}-{span}-01"
    assert trace == PARENT[3:35]
    assert first.parent is not None
    assert f"{first.parent.span_id:016x}" == PARENT[36:52]
    assert second.parent is None
    assert first.name == f"{NAME}/Recommend"
    attributes = dict(first.attributes or {})
    assert attributes["reclens.request_id"] == "r-1"
    assert attributes["reclens.edits"] == 2
    assert "user-4711" not in str(attributes)


async def test_faults_of_the_server_mark_the_span_and_refusals_do_not(
    exporter: InMemorySpanExporter,
) -> None:
    async with echo_server() as running, calling(running) as caller:
        await refused(caller.recommend(ask("fail")))
        await refused(caller.raw(b"\xff"))
    failed, wrong = exporter.get_finished_spans()
    assert failed.status.status_code.name == "ERROR"
    assert wrong.status.status_code.name == "UNSET"
    assert dict(wrong.attributes or {})["rpc.grpc.status_code"] == 3


async def test_caller_that_does_not_sample_is_followed(exporter: InMemorySpanExporter) -> None:
    async with echo_server() as running, calling(running) as caller:
        answer = await caller.recommend(ask(), metadata=(("traceparent", UNSAMPLED),))
        # The decision is passed on.
        assert answer.versions.release.endswith("-00")
        assert answer.versions.release[3:35] == PARENT[3:35]
        for wrong in ("", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
            await caller.recommend(ask(), metadata=(("traceparent", wrong),))
    assert len(exporter.get_finished_spans()) == 3


async def test_entries_of_a_batch_belong_to_their_own_traces_and_link_to_it(
    exporter: InMemorySpanExporter,
) -> None:
    async with echo_server() as running, calling(running) as caller:
        contexts = [(await caller.recommend(ask())).versions.release for _ in range(2)]
    exporter.clear()
    tracing.record_batch([contexts[0], "", contexts[1]], 1_000, 5_000)
    spans = {span.name: [] for span in exporter.get_finished_spans()}
    for span in exporter.get_finished_spans():
        spans[span.name].append(span)
    (batch,), entries = spans["model batch"], spans["model batch entry"]
    assert batch.parent is None
    assert [dict(one.attributes or {})["reclens.batch_index"] for one in entries] == [0, 2]
    for entry, context in zip(entries, contexts, strict=True):
        assert hexadecimal(entry)[0] == context[3:35]
        assert f"{entry.parent.span_id:016x}" == context[36:52]
        (link,) = entry.links
        assert link.context.span_id == batch.get_span_context().span_id
        assert (entry.start_time, entry.end_time) == (1_000, 5_000)
    exporter.clear()
    tracing.record_batch(["", ""], 1_000, 5_000)
    assert exporter.get_finished_spans() == ()


async def test_session_is_one_span(exporter: InMemorySpanExporter) -> None:
    async with echo_server() as running, calling(running) as caller:
        call = caller.session(iter([]), metadata=(("traceparent", PARENT),))
        assert await call.code() == grpc.StatusCode.OK
    (span,) = exporter.get_finished_spans()
    assert hexadecimal(span)[0] == PARENT[3:35]


def test_traces_are_sent_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert configure_tracing("test", TraceSettings()) is None
    assert not tracing.tracing()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    assert configure_tracing("test", TraceSettings(enabled=False)) is None
    provider = configure_tracing("test", TraceSettings())
    try:
        assert provider is not None
        assert tracing.tracing()
        assert provider.resource.attributes["service.name"] == "reclens-test"
    finally:
        tracing.use_provider(None)
        assert provider is not None
        provider.shutdown()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert configure_tracing("test", TraceSettings(enabled=True)) is None
