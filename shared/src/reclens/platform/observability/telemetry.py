"""Figures of a serving process for Prometheus. Until `serve_metrics`, every call here is a no-op.

No label takes what a caller wrote: releases count by name only where they are published, clients
only where the tokens file knows them, the rest together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from reclens.errors import InvalidInput

if TYPE_CHECKING:
    from reclens.platform.observability.meters import Meters

DEFAULT_RELEASE: Final = "default"
_OTHER: Final = "other"
_MOST_VALUES: Final = 200
_RELEASES: dict[str, str] = {}
_CLIENTS: set[str] = set()
_meters: Meters | None = None


class MetricsServer:
    """Answers ``GET /metrics`` until it is closed."""

    def __init__(self, address: str, close: Callable[[], None]) -> None:
        self.address = address
        """``host:port``, with the port that was taken."""
        self.close = close
        """Stop listening; counting goes on."""


def serve_metrics(listen: str) -> MetricsServer:
    """Begin to count, and answer ``GET /metrics`` at ``host:port`` on a thread.

    Raises:
        InvalidInput: the address cannot be listened on.
    """
    from prometheus_client import start_http_server  # noqa: PLC0415

    meters = enable()
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), meters.registry)
    except (OSError, ValueError, OverflowError) as error:
        raise InvalidInput(
            f"cannot listen on {listen}.", field="metrics_listen", remedy="choose a free host:port."
        ) from error

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return MetricsServer(f"{host}:{server.server_port}", close)


def enable() -> Meters:
    """Begin to count, without an HTTP server; once begun, the same meters again."""
    global _meters  # noqa: PLW0603
    if _meters is None:
        # Processes that do not count do not need the library either.
        from reclens.platform.observability.meters import Meters  # noqa: PLC0415

        _meters = Meters()
        for name, version in _RELEASES.items():
            _meters.release_info.labels(name, version).set(1)
    return _meters


def disable() -> None:
    """Count no more, and forget what was counted."""
    global _meters  # noqa: PLW0603
    _meters = None
    _CLIENTS.clear()
    _RELEASES.clear()


def enabled() -> bool:
    """Whether anything is counted: to skip what only makes figures."""
    return _meters is not None


# --- calls: counted by the server itself ---------------------------------------------------------


def observe_call(method: str, code: str, release: str, seconds: float) -> None:
    """One call has ended. ``release`` as the caller names it; empty: the default one."""
    if _meters is not None:
        _meters.call(method, code, _release(release)).observe(seconds)


def observe_running(calls: int, sessions: int) -> None:
    """How many calls and sessions are under way."""
    if _meters is not None:
        _meters.running.set(calls)
        _meters.sessions.set(sessions)


def observe_refusal(method: str, reason: str) -> None:
    """A call was refused for ``reason``, see ``RecLensError.reason``."""
    if _meters is not None:
        _meters.refusal(method, reason).inc()


def observe_rate_limited(client: str) -> None:
    """A client was refused for its rate."""
    if _meters is not None:
        _CLIENTS.add(client) if len(_CLIENTS) < _MOST_VALUES else None
        _meters.rate_limited.labels(client if client in _CLIENTS else _OTHER).inc()


def observe_rate_store_failure() -> None:
    """Redis did not answer when a rate was to be counted."""
    if _meters is not None:
        _meters.rate_store_failures.inc()


# --- the work: for the services ------------------------------------------------------------------


def observe_waiting(requests: int) -> None:
    """How many requests wait for the next hop or for the model."""
    if _meters is not None:
        _meters.waiting.set(requests)


def observe_hop(requests: int) -> None:
    """The gateway sent this many requests in one hop."""
    if _meters is not None:
        _meters.hop_size.observe(requests)


def observe_batch(requests: int, seconds: float) -> None:
    """The model answered this many requests in one pass."""
    if _meters is not None:
        _meters.batch_size.observe(requests)
        _meters.batch_seconds.observe(seconds)


def observe_edits(operations: Iterable[str]) -> None:
    """Edits of these operations were applied: ``set``, ``scale``, ``add`` or ``ablate``."""
    if _meters is not None:
        for operation in operations:
            _meters.edits.labels(operation).inc()


def observe_effect(release: str, overlap: float, relative_shift: float) -> None:
    """What edits did to one answer, as ``Effect`` has it. Not for answers without edits."""
    if _meters is not None:
        name = _release(release)
        _meters.overlap.labels(name).observe(overlap)
        _meters.relative_shift.labels(name).observe(relative_shift)


def observe_policy_change(kind: str) -> None:
    """A policy was changed: ``create``, ``update`` or ``delete``."""
    if _meters is not None:
        _meters.policy_changes.labels(kind).inc()


def set_releases(versions: Mapping[str, str]) -> None:
    """The releases that are served now, by name, with their versions."""
    gone = dict(_RELEASES)
    _RELEASES.clear()
    _RELEASES.update(list(versions.items())[:_MOST_VALUES])
    if _meters is not None:
        for name, version in gone.items():
            if _RELEASES.get(name) != version:
                _meters.release_info.remove(name, version)
        for name, version in _RELEASES.items():
            _meters.release_info.labels(name, version).set(1)


def _release(name: str) -> str:
    name = name or DEFAULT_RELEASE
    return name if name in _RELEASES else _OTHER
