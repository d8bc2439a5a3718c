"""How figures look: colours that colour-blind readers tell apart too (Okabe and Ito)."""

from __future__ import annotations

from typing import Any

BLUE, ORANGE, GREEN, PURPLE, RED = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00"
SKY = "#56b4e9"
GREY, INK = "#777777", "#222222"
GRID = "#e5e5e5"

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    # Text is never in the colour of a curve: sky blue and orange on white cannot be read.
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": INK,
    "legend.fontsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "savefig.bbox": "tight",
    "savefig.facecolor": "white",
    # The same picture gives the same bytes.
    "svg.hashsalt": "reclens",
}
