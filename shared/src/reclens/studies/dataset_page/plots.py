"""Four pictures of a data set: histories, popularity, times, tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from reclens.studies.dataset_page.figures import DatasetFigures
from reclens.studies.style import BLUE, GREY, GRID, ORANGE, RED, STYLE
from reclens.studies.templates import shortened

_PARTS = {"train": BLUE, "valid": ORANGE, "test": RED}
_SIZE = (7.2, 3.6)
_BINS = 40
_TAGS_SHOWN = 20


def draw_plots(figures: DatasetFigures, folder: Path) -> dict[str, Path]:
    """Write ``histories.png``, ``popularity.png`` and, where the data set has them, ``times.png``
    and ``tags.png``; returns them by name without the suffix."""
    with mpl.rc_context({**STYLE, "savefig.dpi": 130}):
        drawn = {"histories": _histories(figures), "popularity": _popularity(figures)}
        if figures.times is not None:
            drawn["times"] = _times(figures.times)
        if figures.tags:
            drawn["tags"] = _tags(figures)
        paths = {name: folder / f"{name}.png" for name in drawn}
        for name, figure in drawn.items():
            figure.savefig(paths[name])
    return paths


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.grid(True, axis="y", color=GRID, lw=0.8)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return figure, axes


def _histories(figures: DatasetFigures) -> Figure:
    figure, axes = _axes()
    lengths = figures.lengths
    axes.hist(lengths, bins=_edges(lengths), color=BLUE, edgecolor="white", lw=0.4)
    median = float(np.median(lengths))
    axes.axvline(median, color=RED, ls="--", lw=1.5, label=f"median: {median:,.0f}")
    if _reach_far(lengths):
        axes.set_xscale("log")
        _plain_numbers(axes.xaxis, marks=(1, 2, 5))
    axes.set_xlabel("interactions of a user")
    axes.set_ylabel("users")
    axes.set_title("How long histories are", loc="left")
    axes.legend()
    return figure


def _reach_far(values: npt.NDArray[np.int64]) -> bool:
    """Whether a few are so much larger than half of them that these would be one bar."""
    return bool(values.max() > max(_BINS, 10 * np.median(values)))


def _edges(values: npt.NDArray[np.int64]) -> list[float]:
    """Edges of bins around whole numbers, alike in width, or in ratio where values reach far."""
    low, high = int(values.min()), int(values.max()) + 1
    if _reach_far(values):
        edges = np.unique(np.round(np.geomspace(low, high, _BINS + 1)))
    else:
        step = -(-(high - low) // _BINS)
        edges = np.arange(low, high + step, step)
    return (edges - 0.5).tolist()


def _plain_numbers(axis: Axis, marks: tuple[int, ...] = (1,)) -> None:
    """Numbers written out along a logarithmic axis, at ``marks`` of every power of ten."""
    axis.set_major_locator(LogLocator(subs=marks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_minor_formatter(NullFormatter())


def _popularity(figures: DatasetFigures) -> Figure:
    figure, axes = _axes()
    ranked = np.sort(figures.popularity)[::-1]
    shown = ranked[ranked > 0]
    axes.plot(np.arange(1, len(shown) + 1), shown, color=BLUE, lw=2)
    tenth = int(np.ceil(len(ranked) / 10))
    axes.axvline(
        tenth,
        color=RED,
        ls="--",
        lw=1.5,
        label=f"a tenth of the items has {figures.top_share:.0%} of train",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_numbers(axes.xaxis)
    _plain_numbers(axes.yaxis)
    axes.set_xlabel("rank of the item")
    axes.set_ylabel("interactions in train")
    never = len(ranked) - len(shown)
    axes.set_title(
        "How popular items are" + (f" ({never:,} items have none in train)" if never else ""),
        loc="left",
    )
    axes.legend()
    return figure


def _times(times: dict[str, npt.NDArray[np.int64]]) -> Figure:
    figure, axes = _axes()
    every = np.concatenate(list(times.values()))
    edges = np.linspace(every.min(), max(every.max(), every.min() + 1), _BINS + 1)
    counts = {name: np.histogram(part, edges)[0] for name, part in times.items()}
    as_dates = _are_dates(every)
    shown: Any = edges.astype("datetime64[s]") if as_dates else edges
    bottom = np.zeros(_BINS)
    for name, count in counts.items():
        axes.stairs(
            bottom + count, shown, baseline=bottom, fill=True, color=_PARTS[name], label=name
        )
        bottom += count
    if as_dates:
        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_xlabel("time (UTC)" if as_dates else "time")
    axes.set_ylabel("interactions")
    axes.set_title("When interactions were", loc="left")
    axes.legend()
    return figure


def _are_dates(seconds: npt.NDArray[np.int64]) -> bool:
    """Whether they lie in years that calendars have."""
    first, last = np.datetime64("0001-01-01", "s"), np.datetime64("9999-12-31", "s")
    return int(first.astype(np.int64)) <= seconds.min() and seconds.max() <= last.astype(np.int64)


def _tags(figures: DatasetFigures) -> Figure:
    most = figures.tags.most_common(_TAGS_SHOWN)
    figure = Figure(figsize=(_SIZE[0], 0.8 + 0.22 * len(most)), layout="constrained")
    axes = figure.subplots()
    axes.grid(True, axis="x", color=GRID, lw=0.8)
    # A dollar sign would begin mathematics.
    names = [shortened(tag, 40).replace("$", r"\$") for tag, _ in most]
    drawn = axes.barh(range(len(most)), [count for _, count in most], color=BLUE)
    axes.bar_label(drawn, labels=[f"{count:,}" for _, count in most], padding=3, color=GREY)
    axes.set_yticks(range(len(most)), names)
    axes.invert_yaxis()
    axes.set_xlabel("items")
    more = len(figures.tags) - len(most)
    axes.set_title(
        f"Tags that most items have{f', of {more + len(most):,}' if more else ''}", loc="left"
    )
    return figure
