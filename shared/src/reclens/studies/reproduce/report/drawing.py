"""What the figures of a report are drawn with: panels, points, looks of what is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reclens.studies.reproduce.experiment.plan import VARIANT_KINDS, Role
from reclens.studies.reproduce.experiment.results import Dictionary, StudyResults
from reclens.studies.reproduce.report import prose
from reclens.studies.style import BLUE, GREEN, GREY, GRID, ORANGE, PURPLE, RED, SKY, STYLE

Panels = tuple[Figure, list[Axes]]
Bounds = tuple[float, float, float]
"""Mean, low and high of an interval."""

COLUMN, PAGE = 5.2, 7.2
"""Widths in inches, of figures of one panel and of several. Reduced to a paper's column and page
(3.4 and 7), their smallest text is 5.5 and 8 points."""

CONTROL_LOOK = {
    Role.UNTRAINED: (GREY, "--", "X"),
    Role.DIMENSIONS: (ORANGE, "-.", "P"),
    Role.PCA: (SKY, ":", "*"),
}
"""Colour, dashes and marker of the labelled controls."""
KIND_LOOK: dict[str, tuple[str, str]] = dict(
    zip(VARIANT_KINDS, ((BLUE, "o"), (GREEN, "s"), (PURPLE, "^"), (RED, "D")), strict=True)
)
"""Colour and marker of the architectures."""


def control_look(one: Dictionary) -> tuple[str, str, str]:
    """Colour, dashes and marker of a control."""
    return next(CONTROL_LOOK[role] for role in one.roles if role in CONTROL_LOOK)


def said(label: str) -> Line2D:
    """A line of a legend that stands for nothing drawn."""
    return Line2D([], [], ls="none", label=label)


def horizontal_grid(axes: Axes) -> None:
    """Fine lines to read heights by."""
    axes.grid(True, axis="y", color=GRID, lw=0.8)


@dataclass(frozen=True)
class Plot:
    """One figure of a report."""

    key: str
    """``F2`` and so on."""
    name: str
    """File name without ending."""
    title: str
    """What it shows."""
    note: str
    """How to read it."""
    figure: Figure
    """The picture."""

    def save(self, folder: Path) -> list[Path]:
        """Write ``<name>.png`` and ``<name>.svg``."""
        paths = [folder / f"{self.name}.png", folder / f"{self.name}.svg"]
        with mpl.rc_context(STYLE):
            self.figure.savefig(paths[0])
            self.figure.savefig(paths[1], metadata={"Date": None})
        return paths


def captioned(key: str, figure: Figure, results: StudyResults, **values: Any) -> Plot:
    """A figure with its caption, which stands in ``templates/figures.yaml``.

    Args:
        key: ``F2`` and so on.
        figure: the picture.
        results: what it is drawn from.
        values: what else the caption tells.
    """
    caption = prose.layout("figures.yaml")[key]
    main = results.main
    origins = list(main.fidelity_by_origin)
    note = prose.text(caption["note"], main=main, origins=origins, **values)
    return Plot(key, caption["file"], caption["title"], note, figure)


def panels(width: float, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> Panels:
    """A figure and its axes, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **grid).ravel())


def points(
    axes: Axes, at: Sequence[float], found: Sequence[Bounds], *, upright: bool = True, **look: Any
) -> None:
    """Points that are not joined, with error bars.

    Args:
        axes: where to draw.
        at: places along the other axis.
        found: mean, low and high of each.
        upright: whether the bars are vertical.
        look: of the points, as for ``Axes.errorbar``.
    """
    mean, low, high = np.transpose(found)
    bars = [mean - low, high - mean]
    places = (at, mean) if upright else (mean, at)
    axes.errorbar(*places, **{"yerr" if upright else "xerr": bars}, ls="none", **look)


def legend_below(figure: Figure, columns: int) -> None:
    """The legend of the first axes, below all."""
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns)
