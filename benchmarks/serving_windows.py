"""Windows of load to rows and ratios: medians over rounds, and what each request cost."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Workload:
    """What is measured once a round."""

    catalogue: str
    """E.g. ``3.7k``."""
    kind: str
    """``echo`` or a kind of request."""
    clients: int
    """Calls that are under way at once."""

    @property
    def name(self) -> str:
        """Name of the row in the table."""
        return f"{self.catalogue} {self.kind} {self.clients}"


@dataclass
class Windows:
    """All windows so far, in the order they were taken."""

    taken: dict[Workload, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, workload: Workload, window: dict[str, Any]) -> dict[str, Any]:
        """Keep a window; the row of it alone, for showing."""
        summary = summarise(window)
        self.taken[workload].append(summary)
        return summary

    def row(self, workload: Workload) -> dict[str, Any]:
        """The row of a workload: medians over the rounds."""
        taken = self.taken[workload]
        codes = sum((Counter(one["codes"]) for one in taken), Counter())
        return {
            "name": workload.name,
            "catalogue": workload.catalogue,
            "kind": workload.kind,
            "clients": workload.clients,
            "rate": round(_median(one["rate"] for one in taken), 1),
            "rates": [round(one["rate"], 1) for one in taken],
            **{key: round(_median(one[key] for one in taken), 3) for key in ("p50_ms", "p99_ms")},
            "cpu_us": {
                name: round(_median(one["cpu_us"].get(name, 0) for one in taken))
                for name in taken[-1]["cpu_us"]
            },
            "rss_mb": taken[-1]["rss_mb"],
            **({"codes": dict(codes)} if codes else {}),
        }

    def rows(self) -> list[dict[str, Any]]:
        """The rows of all workloads."""
        return [self.row(workload) for workload in self.taken]

    def ratio(self, above: Workload, below: Workload, key: str = "rate") -> float | None:
        """Median over rounds of one workload's figure over the other's in the same round."""
        pairs = list(zip(self.taken.get(above, ()), self.taken.get(below, ()), strict=False))
        if not pairs:
            return None
        return round(_median(a[key] / max(b[key], 1e-9) for a, b in pairs), 3)

    def cpu_ratio(self, above: Workload, below: Workload) -> float | None:
        """The same of the servers' CPU seconds a request, clients left out."""
        pairs = list(zip(self.taken.get(above, ()), self.taken.get(below, ()), strict=False))
        if not pairs:
            return None
        return round(_median(_servers(a) / max(_servers(b), 1e-9) for a, b in pairs), 3)


def summarise(window: dict[str, Any]) -> dict[str, Any]:
    """Rate, percentiles and costs of one window."""
    latencies: Sequence[float] = window["latencies"]
    answered = max(len(latencies), 1)
    p50, p99 = np.percentile(latencies, [50, 99]) if latencies else (float("nan"),) * 2
    return {
        "rate": len(latencies) / window["seconds"],
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "cpu_us": {name: s / answered * 1e6 for name, s in window["cpu_seconds"].items()},
        "cpu_share": {n: s / window["seconds"] for n, s in window["cpu_seconds"].items()},
        "rss_mb": {name: round(b / 2**20) for name, b in window["rss_bytes"].items()},
        "codes": window["codes"],
        "begun": window["begun"] / window["seconds"],
        "not_sent": window["not_sent"] / window["seconds"],
    }


def ratios(windows: Windows, catalogues: Sequence[str], clients: Sequence[int]) -> dict[str, Any]:
    """What the project's goals are about, by name; only what was measured."""
    found: dict[str, Any] = {}
    main = 32 if 32 in clients else max(clients)
    for catalogue in catalogues:

        def workload(kind: str, n: int = main, catalogue: str = catalogue) -> Workload:
            return Workload(catalogue, kind, n)

        found |= {
            f"steered / echo, {catalogue}, {main} clients": windows.ratio(
                workload("steered"), workload("echo")
            ),
            f"steered, warm / echo, {catalogue}, {main} clients": windows.ratio(
                workload("steered, warm"), workload("echo")
            ),
        }
        for n in clients:
            found[f"steered / unsteered, {catalogue}, {n} clients"] = windows.ratio(
                workload("steered", n), workload("unsteered", n)
            )
        found[f"CPU steered / unsteered, {catalogue}, {main} clients"] = windows.cpu_ratio(
            workload("steered"), workload("unsteered")
        )
        for kind in ("echo", "unsteered", "steered"):
            for n in clients:
                taken = windows.taken.get(workload(kind, n))
                if taken:
                    value = _median(one["p99_ms"] / one["p50_ms"] for one in taken)
                    found[f"p99 / p50, {kind}, {catalogue}, {n} clients"] = round(value, 2)
        alone, echo = (windows.taken.get(workload(kind, 1), []) for kind in ("steered", "echo"))
        if alone and echo:
            pairs = zip(alone, echo, strict=False)
            value = _median(a["p50_ms"] - b["p50_ms"] for a, b in pairs)
            found[f"ms above echo, one steered client, {catalogue}"] = round(value, 3)
    return {name: value for name, value in found.items() if value is not None}


def _servers(window: dict[str, Any]) -> float:
    return sum(cost for name, cost in window["cpu_us"].items() if name != "client")


def _median(values: Any) -> float:
    return statistics.median(list(values))
