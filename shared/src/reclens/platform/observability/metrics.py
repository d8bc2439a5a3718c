"""Prometheus metrics of a serving process. Until `serve_metrics`, every call here is a no-op.

No label takes what a caller wrote: releases count by name only where they are published, clients
only where the tokens file knows them, the rest together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    gc_collector,
    platform_collector,
    process_collector,
    start_http_server,
)

from reclens.errors import InvalidInput

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_SHIFTS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 10.0)


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        process_collector.ProcessCollector(registry=registry)
        platform_collector.PlatformCollector(registry=registry)
        gc_collector.GCCollector(registry=registry)
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self.request_seconds = histogram(
            "reclens_request_seconds",
            "Time from taking up a call to its answer.",
            ["method", "code", "release"],
            buckets=_SECONDS,
        )
        self.running = gauge("reclens_requests_running", "Calls under way.")
        self.sessions = gauge("reclens_sessions_open", "Streams open.")
        self.refusals = counter(
            "reclens_refusals", "Calls refused, by reason.", ["method", "reason"]
        )
        self.rate_limited = counter("reclens_rate_limited", "Calls refused for a rate.", ["client"])
        self.rate_store_failures = counter(
            "reclens_rate_store_failures",
            "Calls whose rate could not be counted, as Redis did not answer.",
        )
        self.waiting = gauge("reclens_requests_waiting", "Requests that wait for a batch.")
        self.hop_size = histogram(
            "reclens_hop_requests",
            "Requests in one hop from the gateway to inference.",
            buckets=_SIZES,
        )
        self.batch_size = histogram(
            "reclens_batch_requests", "Requests in one pass of the model.", buckets=_SIZES
        )
        self.batch_seconds = histogram(
            "reclens_batch_seconds", "Time of one pass of the model.", buckets=_SECONDS
        )
        self.edits = counter("reclens_edits", "Edits applied, by operation.", ["operation"])
        self.overlap = histogram(
            "reclens_effect_overlap",
            "Share of the untouched answer that is left after the edits.",
            ["release"],
            buckets=_SHARES,
        )
        self.relative_shift = histogram(
            "reclens_effect_relative_shift",
            "How far edits move the representation, as a share of its norm.",
            ["release"],
            buckets=_SHIFTS,
        )
        self.policy_changes = counter(
            "reclens_policy_changes", "Policies written, by kind.", ["kind"]
        )
        self.release_info = gauge(
            "reclens_release_info", "Releases served now.", ["release", "version"]
        )

        # Finding a child by its labels takes a lock and costs more than counting does.
        self.call = cache(self.request_seconds.labels)
        self.refusal = cache(self.refusals.labels)


DEFAULT_RELEASE: Final = "default"
_OTHER: Final = "other"
_MOST_VALUES: Final = 200
_RELEASES: dict[str, str] = {}
_CLIENTS: set[str] = set()
_metrics: Metrics | None = None


class MetricsServer(NamedTuple):
    """Answers ``GET /metrics`` until it is closed."""

    address: str
    """``host:port``, with the port that was taken."""
    close: Callable[[], None]
    """Stop listening; counting goes on."""


def serve_metrics(listen: str) -> MetricsServer:
    """Begin to count, and answer ``GET /metrics`` at ``host:port`` on a thread.

    Raises:
        InvalidInput: the address cannot be listened on.
    """
    registry = enable().registry
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except (OSError, ValueError, OverflowError) as error:
        raise InvalidInput(
            f"cannot listen on {listen}.", field="metrics_listen", remedy="choose a free host:port."
        ) from error

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return MetricsServer(f"{host}:{server.server_port}", close)


def enable() -> Metrics:
    """Begin to count, without an HTTP server; once begun, the same metrics again."""
    global _metrics  # noqa: PLW0603
    if _metrics is None:
        _metrics = Metrics()
        for name, version in _RELEASES.items():
            _metrics.release_info.labels(name, version).set(1)
    return _metrics


def disable() -> None:
    """Count no more, and forget what was counted."""
    global _metrics  # noqa: PLW0603
    _metrics = None
    _CLIENTS.clear()
    _RELEASES.clear()


def enabled() -> bool:
    """Whether anything is counted: to skip what only makes figures."""
    return _metrics is not None


# --- calls: counted by the server itself ---------------------------------------------------------


def observe_call(method: str, code: str, release: str, seconds: float) -> None:
    """One call has ended. ``release`` as the caller names it; empty: the default one."""
    if _metrics is not None:
        _metrics.call(method, code, _release(release)).observe(seconds)


def observe_running(calls: int, sessions: int) -> None:
    """How many calls and sessions are under way."""
    if _metrics is not None:
        _metrics.running.set(calls)
        _metrics.sessions.set(sessions)


def observe_refusal(method: str, reason: str) -> None:
    """A call was refused for ``reason``, see ``RecLensError.reason``."""
    if _metrics is not None:
        _metrics.refusal(method, reason).inc()


def observe_rate_limited(client: str) -> None:
    """A client was refused for its rate."""
    if _metrics is not None:
        _CLIENTS.add(client) if len(_CLIENTS) < _MOST_VALUES else None
        _metrics.rate_limited.labels(client if client in _CLIENTS else _OTHER).inc()


def observe_rate_store_failure() -> None:
    """Redis did not answer when a rate was to be counted."""
    if _metrics is not None:
        _metrics.rate_store_failures.inc()


# --- the work: for the services ------------------------------------------------------------------


def observe_waiting(requests: int) -> None:
    """How many requests wait for the next hop or for the model."""
    if _metrics is not None:
        _metrics.waiting.set(requests)


def observe_hop(requests: int) -> None:
    """The gateway sent this many requests in one hop."""
    if _metrics is not None:
        _metrics.hop_size.observe(requests)


def observe_batch(requests: int, seconds: float) -> None:
    """The model answered this many requests in one pass."""
    if _metrics is not None:
        _metrics.batch_size.observe(requests)
        _metrics.batch_seconds.observe(seconds)


def observe_edits(operations: Iterable[str]) -> None:
    """Edits of these operations were applied: ``set``, ``scale``, ``add`` or ``ablate``."""
    if _metrics is not None:
        for operation in operations:
            _metrics.edits.labels(operation).inc()


def observe_effect(release: str, overlap: float, relative_shift: float) -> None:
    """What edits did to one answer, as ``Effect`` has it. Not for answers without edits."""
    if _metrics is not None:
        name = _release(release)
        _metrics.overlap.labels(name).observe(overlap)
        _metrics.relative_shift.labels(name).observe(relative_shift)


def observe_policy_change(kind: str) -> None:
    """A policy was changed: ``create``, ``update`` or ``delete``."""
    if _metrics is not None:
        _metrics.policy_changes.labels(kind).inc()


def set_releases(versions: Mapping[str, str]) -> None:
    """The releases that are served now, by name, with their versions."""
    gone = dict(_RELEASES)
    _RELEASES.clear()
    _RELEASES.update(list(versions.items())[:_MOST_VALUES])
    if _metrics is not None:
        for name, version in gone.items():
            if _RELEASES.get(name) != version:
                _metrics.release_info.remove(name, version)
        for name, version in _RELEASES.items():
            _metrics.release_info.labels(name, version).set(1)


def _release(name: str) -> str:
    name = name or DEFAULT_RELEASE
    return name if name in _RELEASES else _OTHER
