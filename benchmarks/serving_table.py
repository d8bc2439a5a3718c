"""Writes the figures of ``results/serving.json`` between the markers of the page on serving.

python benchmarks/serving_table.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from serving import RESULTS

DOCUMENT = Path(__file__).parents[1] / "docs" / "explanation" / "serving.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_FURTHER_CLIENTS = 32


def figures(result: dict[str, Any]) -> str:
    """All figures as a table in Markdown."""
    machine, setting = result["machine"], result["setting"]
    parts = [
        f"{machine['cpu']}, {machine['cores']} cores; Python {machine['python']}, PyTorch "
        f"{machine['torch']}; {setting['model']}, {setting['rounds']} rounds of "
        f"{setting['seconds']:g} s windows.",
        "Requests a second, in brackets milliseconds at the median and the 99th percentile:",
        _rates(result["rows"]),
        f"Kinds of requests at {_FURTHER_CLIENTS} clients, with CPU time a request:",
        _kinds(result["rows"]),
        "Ratios, medians over rounds:",
        _table(["ratio", "value"], [[name, f"{v:g}"] for name, v in result["ratios"].items()]),
    ]
    for name, notes in result["catalogues"].items():
        if "overload" in notes:
            parts += [_overload_title(name, notes["overload"]), _overload(notes["overload"])]
    return "\n\n".join(parts)


def _rates(rows: list[dict[str, Any]]) -> str:
    cells = {(row["catalogue"], row["kind"], row["clients"]): row for row in rows}
    clients = sorted({row["clients"] for row in rows})
    lines: list[list[str]] = []
    for catalogue in dict.fromkeys(row["catalogue"] for row in rows):
        for kind in ("echo", "unsteered", "steered"):
            line = [catalogue, kind]
            for n in clients:
                row = cells.get((catalogue, kind, n))
                line.append(
                    f"{row['rate']:,.0f} ({row['p50_ms']:.1f}, {row['p99_ms']:.1f})" if row else ""
                )
            lines.append(line)
    return _table(["items", "kind", *(f"{n} clients" for n in clients)], lines)


def _kinds(rows: list[dict[str, Any]]) -> str:
    lines = [
        [
            row["catalogue"],
            row["kind"],
            f"{row['rate']:,.0f}",
            *(
                f"{row['cpu_us'][name]:,}" if name in row["cpu_us"] else ""
                for name in ("gateway", "inference", "echo", "client")
            ),
            ", ".join(f"{name} {size:,}" for name, size in row["rss_mb"].items()),
        ]
        for row in rows
        if row["clients"] == _FURTHER_CLIENTS
    ]
    head = ["items", "kind", "a second", "gateway µs", "inference µs", "echo µs", "client µs", "MB"]
    return _table(head, lines)


def _overload_title(name: str, overload: dict[str, Any]) -> str:
    return (
        f"Overload, {name} items: peak {overload['peak']:,.0f}/s before and "
        f"{overload['peak_after']:,.0f}/s after, deadline {overload['deadline_seconds']:g} s:"
    )


def _overload(overload: dict[str, Any]) -> str:
    lines = [
        [
            f"{row['offered_over_peak']:g}x",
            "again after the delay" if row["retries"] else "give up",
            f"{row['offered']:,.0f}",
            f"{row['goodput']:,.0f}",
            f"{row['goodput_over_peak']:.0%}",
            f"{row['p50_ms'] or 0:,.0f}, {row['p99_ms'] or 0:,.0f}",
            ", ".join(f"{code} {count:,}" for code, count in row["codes"].items()) or "none",
        ]
        for row in overload["rows"]
    ]
    head = ["offered", "refused callers", "begun a second", "answered a second", "of the peak"]
    return _table([*head, "ms p50, p99", "other endings"], lines)


def _table(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    options = parser.parse_args()
    result = json.loads(options.results.read_text(encoding="utf-8"))
    before, _, rest = options.document.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    text = f"{before}{BEGIN}\n{figures(result)}\n{END}{after}"
    options.document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
