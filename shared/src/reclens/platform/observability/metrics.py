"""Prometheus metrics of a serving process. Until `serve_metrics`, nothing is counted.

No label takes what a caller wrote: releases count by name only where they are published, clients
only where the tokens file knows them, the rest together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Final, NamedTuple, Self

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


class _Uncounted:
    """Stands for any metric while nothing is counted."""

    def labels(self, *_values: str) -> Self:
        return self

    def inc(self, _amount: float = 1) -> None:
        pass

    set = observe = inc


class Metrics:
    """All metrics of one process, in a registry of their own.

    Args:
        counting: whether they count; else they take figures and forget them.
    """

    def __init__(self, *, counting: bool = True) -> None:
        registry = self.registry = CollectorRegistry()
        counter: Any = partial(Counter, registry=registry)
        gauge: Any = partial(Gauge, registry=registry)
        histogram: Any = partial(Histogram, registry=registry)
        if counting:
            process_collector.ProcessCollector(registry=registry)
            platform_collector.PlatformCollector(registry=registry)
            gc_collector.GCCollector(registry=registry)
        else:
            counter = gauge = histogram = lambda *_declared, **_more: _Uncounted()
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
_OFF: Final = Metrics(counting=False)
_metrics = _OFF


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
    if _metrics is _OFF:
        _metrics = Metrics()
        for name, version in _RELEASES.items():
            _metrics.release_info.labels(name, version).set(1)
    return _metrics


def disable() -> None:
    """Count no more, and forget what was counted."""
    global _metrics  # noqa: PLW0603
    _metrics = _OFF
    _CLIENTS.clear()
    _RELEASES.clear()


def enabled() -> bool:
    """Whether anything is counted: to skip what only makes figures."""
    return _metrics is not _OFF


def current() -> Metrics:
    """What counts now. Releases and clients are named by the functions below."""
    return _metrics


def observe_call(method: str, code: str, release: str, seconds: float) -> None:
    """One call has ended. ``release`` as the caller names it; empty: the default one."""
    _metrics.call(method, code, _release(release)).observe(seconds)


def observe_rate_limited(client: str) -> None:
    """A client was refused for its rate."""
    _CLIENTS.add(client) if len(_CLIENTS) < _MOST_VALUES else None
    _metrics.rate_limited.labels(client if client in _CLIENTS else _OTHER).inc()


def observe_effect(release: str, overlap: float, relative_shift: float) -> None:
    """What edits did to one answer, as ``Effect`` has it. Not for answers without edits."""
    name = _release(release)
    _metrics.overlap.labels(name).observe(overlap)
    _metrics.relative_shift.labels(name).observe(relative_shift)


def set_releases(versions: Mapping[str, str]) -> None:
    """The releases that are served now, by name, with their versions."""
    gone = dict(_RELEASES)
    _RELEASES.clear()
    _RELEASES.update(list(versions.items())[:_MOST_VALUES])
    if enabled():
        for name, version in gone.items():
            if _RELEASES.get(name) != version:
                _metrics.release_info.remove(name, version)
        for name, version in _RELEASES.items():
            _metrics.release_info.labels(name, version).set(1)


def _release(name: str) -> str:
    name = name or DEFAULT_RELEASE
    return name if name in _RELEASES else _OTHER
