"""How figures look: colours that colour-blind readers tell apart too (Okabe and Ito)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, RED = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00"
SKY = "#56b4e9"
GREY, INK = "#8a8a8a", "#222222"

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10.5,
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
