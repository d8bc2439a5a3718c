"""Draws what the steering benchmarks found, for docs/explanation/steering.md.

python benchmarks/steering_plots.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

RESULTS = Path(__file__).parent / "results"
FOLDER = Path(__file__).parents[1] / "docs" / "images"

# Told apart by colour-blind readers too (Okabe and Ito).
_WAYS = {
    "bonus on the items": ("#222222", ":", "raise the items' scores directly"),
    "best direction": ("#222222", "--", "best direction of x"),
    "proposal, 16 latents": ("#009e73", "-", "proposal, 16 latents"),
    "proposal, 16 trusted latents": ("#56b4e9", "-", "proposal, 16 trusted latents"),
    "concept, by effect": ("#e69f00", "-", "the concept's own latents, by effect"),
    "concept, in proportion to p99": ("#d55e00", "-", "the concept's own latents, by p99"),
    "random latents": ("#9a9a9a", "-", "random latents"),
}
_UNITS = {"p99": "#d55e00", "norm of x": "#0072b2", "score spread": "#009e73"}
_MOST_LOSS, _FLOOR = 0.3, 0.01
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 110,
    "savefig.bbox": "tight",
    "savefig.facecolor": "white",
}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        _tradeoff(_rows("steering")).savefig(FOLDER / "steering_tradeoff.png")
        _dose(_rows("steering_units")).savefig(FOLDER / "steering_units.png")


def _rows(name: str) -> list[dict[str, Any]]:
    return json.loads((RESULTS / f"{name}.json").read_text())["rows"]


def _tradeoff(rows: list[dict[str, Any]]) -> Figure:
    rows = [row for row in rows if "lift" in row]
    datasets = list(dict.fromkeys(row["name"].split(":")[0] for row in rows))
    figure = Figure(figsize=(4.2 * len(datasets), 7.6), layout="constrained")
    grid = figure.subplots(2, len(datasets), squeeze=False, sharey="row")
    for column, dataset in enumerate(datasets):
        of_this = [row for row in rows if row["name"].startswith(f"{dataset}:")]
        for axes, items in zip(grid[:, column], ("all", "unseen"), strict=True):
            _curves(axes, [row for row in of_this if row["items"] == items])
            axes.set_xlabel("NDCG@10 lost")
        grid[0, column].set_title(dataset, loc="left")
    grid[0, 0].set_ylabel("concept's share of the top 10,\ntimes the untouched one")
    grid[1, 0].set_ylabel("the same, of items that\nthe push was not made from")
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _curves(axes: Axes, rows: list[dict[str, Any]]) -> None:
    for method, (colour, style, name) in _WAYS.items():
        points = sorted(
            (row["push"], row["ndcg_loss"], row["lift"]) for row in rows
            if row["method"] == method and row["push"] > 0
        )  # fmt: skip
        if points:
            losses = np.maximum.accumulate([0.0, *(loss for _, loss, _ in points)])
            shares = [1.0, *(1 + lift for _, _, lift in points)]
            axes.plot(losses, shares, style, color=colour, lw=2, marker=".", label=name)
    axes.set_xlim(0, _MOST_LOSS)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_yscale("log", base=2)
    axes.set_ylim(0.75, 14)
    axes.yaxis.set_major_formatter("x{x:g}")
    axes.grid(axis="y", alpha=0.3)


def _dose(rows: list[dict[str, Any]]) -> Figure:
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    figure = Figure(figsize=(4.2 * len(datasets), 8.4), layout="constrained")
    grid = figure.subplots(len(kinds), len(datasets), squeeze=False, sharex=True, sharey=True)
    for line, kind in enumerate(kinds):
        for column, dataset in enumerate(datasets):
            axes = grid[line, column]
            for unit, colour in _UNITS.items():
                points = [
                    row for row in rows
                    if (row["dataset"], row["kind"], row["unit"]) == (dataset, kind, unit)
                ]  # fmt: skip
                strengths = [row["strength"] for row in points]
                axes.plot(
                    strengths, [row["exchanged"] for row in points], color=colour, lw=2, label=unit
                )
                axes.fill_between(
                    strengths,
                    [row["exchanged_low"] for row in points],
                    [row["exchanged_high"] for row in points],
                    color=colour,
                    alpha=0.2,
                    lw=0,
                )
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:.2g}")
            axes.yaxis.set_major_formatter("{x:.0%}")
            axes.grid(alpha=0.3)
            if line == 0:
                axes.set_title(dataset, loc="left")
            if column == 0:
                axes.set_ylabel(f"{kind}:\nshare of the top 10 exchanged")
    for axes in grid[-1]:
        axes.set_xlabel("strength")
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    return figure


if __name__ == "__main__":
    main()
