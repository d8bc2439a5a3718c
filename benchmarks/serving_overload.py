"""Offers more than can be answered: how much is still answered in time, and how it is refused.

Calls begin at an even rate, whether earlier ones were answered or not, and each has a deadline.
Goodput counts answers within it. Refused callers give up, or wait for as long as the refusal says
and try again while their deadline allows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FACTORS = (1, 2, 5)
"""Offered load over the peak."""
DEADLINE = 2.0
"""Seconds that a caller waits."""
PEAK_CLIENTS = (32, 64)
"""Closed loops that the peak is the best of."""
SECONDS = 6.0


def overload(
    window: Callable[..., dict[str, Any]], kind: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Peak, and goodput at several times it.

    Args:
        window: takes one window of load: kind, clients, and changes of the ``Job``.
        kind: kind of request.
        say: prints a line.
    """
    peak = max(_rate(window(kind, clients, seconds=SECONDS)) for clients in PEAK_CLIENTS)
    say(f"   overload: peak {peak:,.0f}/s in a closed loop")
    rows: list[dict[str, Any]] = []
    for honour in (False, True):
        for factor in FACTORS:
            result = window(
                kind,
                1,
                per_second=factor * peak,
                honour_retry=honour,
                deadline=DEADLINE,
                seconds=SECONDS,
                warm_up=DEADLINE,
            )
            rows.append(_row(factor, honour, result, peak))
            say(f"   {rows[-1]}")
    # The machine may have changed meanwhile: goodput is over the better of the two peaks.
    after = max(_rate(window(kind, clients, seconds=SECONDS)) for clients in PEAK_CLIENTS)
    best = max(peak, after)
    for row in rows:
        row["goodput_over_peak"] = round(row["goodput"] / best, 3)
    return {
        "peak": round(peak, 1),
        "peak_after": round(after, 1),
        "deadline_seconds": DEADLINE,
        "rows": rows,
    }


def _rate(result: dict[str, Any]) -> float:
    return len(result["latencies"]) / result["seconds"]


def _row(factor: float, honour: bool, result: dict[str, Any], peak: float) -> dict[str, Any]:
    latencies = result["latencies"]
    return {
        "offered_over_peak": factor,
        "retries": honour,
        "offered": round((result["begun"] + result["not_sent"]) / result["seconds"], 1),
        "not_sent": round(result["not_sent"] / result["seconds"], 1),
        "goodput": round(_rate(result), 1),
        "goodput_over_peak": round(_rate(result) / peak, 3),
        "p50_ms": round(latencies[len(latencies) // 2], 1) if latencies else None,
        "p99_ms": round(latencies[len(latencies) * 99 // 100], 1) if latencies else None,
        "codes": result["codes"],
        "client_cpu": round(result["cpu_seconds"]["client"] / result["seconds"], 2),
    }
