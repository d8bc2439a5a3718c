"""The meters themselves; `telemetry` is what the rest of the code calls."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    gc_collector,
    platform_collector,
    process_collector,
)

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_SHIFTS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 10.0)


class Meters:
    """All meters of one process, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        process_collector.ProcessCollector(registry=registry)
        platform_collector.PlatformCollector(registry=registry)
        gc_collector.GCCollector(registry=registry)
        self._calls: dict[tuple[str, str, str], Histogram] = {}
        self._refusals: dict[tuple[str, str], Counter] = {}
        self.request_seconds = Histogram(
            "reclens_request_seconds",
            "Time from taking up a call to its answer.",
            ["method", "code", "release"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.running = Gauge("reclens_requests_running", "Calls under way.", registry=registry)
        self.sessions = Gauge("reclens_sessions_open", "Streams open.", registry=registry)
        self.refusals = Counter(
            "reclens_refusals", "Calls refused, by reason.", ["method", "reason"], registry=registry
        )
        self.rate_limited = Counter(
            "reclens_rate_limited", "Calls refused for a rate.", ["client"], registry=registry
        )
        self.rate_store_failures = Counter(
            "reclens_rate_store_failures",
            "Calls whose rate could not be counted, as Redis did not answer.",
            registry=registry,
        )
        self.waiting = Gauge(
            "reclens_requests_waiting", "Requests that wait for a batch.", registry=registry
        )
        self.hop_size = Histogram(
            "reclens_hop_requests",
            "Requests in one hop from the gateway to inference.",
            buckets=_SIZES,
            registry=registry,
        )
        self.batch_size = Histogram(
            "reclens_batch_requests",
            "Requests in one pass of the model.",
            buckets=_SIZES,
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "reclens_batch_seconds",
            "Time of one pass of the model.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.edits = Counter(
            "reclens_edits", "Edits applied, by operation.", ["operation"], registry=registry
        )
        self.overlap = Histogram(
            "reclens_effect_overlap",
            "Share of the untouched answer that is left after the edits.",
            ["release"],
            buckets=_SHARES,
            registry=registry,
        )
        self.relative_shift = Histogram(
            "reclens_effect_relative_shift",
            "How far edits move the representation, as a share of its norm.",
            ["release"],
            buckets=_SHIFTS,
            registry=registry,
        )
        self.policy_changes = Counter(
            "reclens_policy_changes", "Policies written, by kind.", ["kind"], registry=registry
        )
        self.release_info = Gauge(
            "reclens_release_info",
            "Releases served now.",
            ["release", "version"],
            registry=registry,
        )

    # Finding a child by its labels takes a lock and costs more than counting does.

    def call(self, method: str, code: str, release: str) -> Histogram:
        """Latencies of these labels."""
        key = (method, code, release)
        found = self._calls.get(key)
        if found is None:
            found = self._calls[key] = self.request_seconds.labels(*key)
        return found

    def refusal(self, method: str, reason: str) -> Counter:
        """Refusals of these labels."""
        key = (method, reason)
        found = self._refusals.get(key)
        if found is None:
            found = self._refusals[key] = self.refusals.labels(*key)
        return found
