"""Figures F4, F7 and F8: dictionaries side by side, learned ones and controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

from reclens.studies import style
from reclens.studies.reproduce.experiment.plan import (
    CLOSED_FORMS,
    CONTROLS,
    GRID_LATENTS,
    PREDICTION_K,
    Role,
)
from reclens.studies.reproduce.experiment.results import Dictionary, StudyResults
from reclens.studies.reproduce.report import drawing
from reclens.studies.reproduce.report.drawing import Plot

_MARKERS = "vsD^<>h"  # of learned dictionaries beside the main one
_MEASURES = {
    "fvu": "FVU on held-out users",
    "ndcg@10": "NDCG@10 less the base's",
    "overlap@10": "overlap@10 with the base",
    "kendall": "Kendall's τ with the base",
}
_REFERENCES = {Role.DIMENSIONS: "raw\ndims", Role.PCA: "PCA"}
# One does not hide what lies below it.
_HOLLOW: dict[str, Any] = {"mfc": "none", "mew": 1.4}
_POINTS: dict[str, Any] = {"ms": 6, "lw": 1.2, "capsize": 2.5}  # of F8


# --- F4 ------------------------------------------------------------------------------------------


def quality(results: StudyResults) -> Plot:
    """F4: distinct concepts against recommendation quality."""
    figure, (axes,) = drawing.panels(drawing.COLUMN, 4.9)
    base = results.main.fidelity()["variants"]["base"]["ndcg@10"]
    axes.axvline(0, color=style.INK, ls=":", lw=1.4, label=f"base, untouched: NDCG@10 {base:.4f}")
    markers = iter(_MARKERS)
    shown = [one for one in results.evaluated if not one.has(Role.PREDICTION)]
    for one in shown:
        is_main = one is results.main
        look: dict[str, Any] = {"color": style.BLUE, "mfc": "white", "mec": style.BLUE}
        if one.is_control:
            colour, _, marker = drawing.control_look(one)
            look = {"color": colour}
        elif is_main:
            marker, look = "o", {"color": style.BLUE, "mec": style.INK}
        else:
            marker = next(markers, "o")
        lost = one.fidelity()["difference"]["reconstruction"]["ndcg@10"]
        look |= {"marker": marker, "ms": 10 if is_main else 7, "lw": 1, "capsize": 2}
        heights = [one.labelling["distinct"]]
        drawing.points(axes, heights, [lost], upright=False, label=one.title, **look)
    highest = max(1, *(one.labelling["distinct"] for one in shown))
    # Room below 0: a control with no label at all is a whole marker too.
    axes.set_ylim(-0.06 * highest, 1.08 * highest)
    axes.margins(x=0.05)
    drawing.horizontal_grid(axes)
    axes.set_xlabel("NDCG@10 of the reconstruction less the base's")
    axes.set_ylabel("distinct labels")
    figure.legend(loc="outside lower left", ncols=2)
    return drawing.captioned("F4", figure, results)


# --- F7 ------------------------------------------------------------------------------------------


THRESHOLD_KINDS = ("batchtopk", "matryoshka", "jumprelu")
"""Architectures in which a threshold decides what fires in use."""
FAR_FROM_K = 1.1
"""Times k, an L0 that the figure explains."""


class Series(NamedTuple):
    """Dictionaries that differ in k alone."""

    label: str
    """Text in the legend."""
    members: Sequence[Dictionary]
    """Dictionaries in order of rising L0."""
    colour: str
    """Colour of line and markers."""
    marker: str
    """Shape of the markers."""
    line: str
    """Style of the line; empty for single points."""


def pareto(results: StudyResults) -> Plot:
    """F7: what is left unexplained against how many latents it takes."""
    figure, (left, right) = drawing.panels(drawing.PAGE, 5.0, columns=2)
    series = pareto_series(results)
    for one in series:
        _curve(left, one)
    _far_off(left, results)
    _ring(left, results.main.health["l0"], results.main.health["fvu"])
    left.set_xscale("log", base=2)
    left.xaxis.set_major_formatter(ScalarFormatter())
    left.set_xlabel("L0: latents that fire per case (log scale)")
    left.set_ylabel("FVU on held-out users (log scale)")
    left.set_title("by L0, as measured", loc="left")
    _side_by_side(right, series, results.main)
    for axes in (left, right):
        axes.set_yscale("log")
        axes.grid(True, axis="both" if axes is left else "y", color=style.GRID, lw=0.8)
    # Less than a decade has no power of ten to read heights by.
    right.yaxis.set_minor_formatter(NullFormatter())
    drawing.legend_below(figure, 3)
    return drawing.captioned("F7", figure, results, widest=_widest(results))


def _widest(results: StudyResults) -> Dictionary | None:
    """The dictionary with thresholds whose L0 is farthest above its k, if one is far."""
    wide = [
        one
        for one in results.dictionaries
        if one.kind in THRESHOLD_KINDS and one.health["l0"] > FAR_FROM_K * one.health["k"]
    ]
    return max(wide, key=lambda one: one.health["l0"] / one.health["k"], default=None)


def pareto_series(results: StudyResults) -> list[Series]:
    """What F7 shows, the main dictionary among them even where no grid has its shape."""
    main = results.main
    found: list[Series] = []
    for kind, (colour, marker) in drawing.KIND_LOOK.items():
        own = _by_l0(results, kind, Role.VARIANT, Role.GRID_K)
        if own:
            found.append(Series(_shape(own[0]), own, colour, marker, "-"))
    sizes = [
        one for one in results.dictionaries if one.has(Role.GRID_SIZE) and not one.has(Role.GRID_K)
    ]
    sizes.sort(key=lambda one: one.health["n_latents"])
    for one, marker in zip(sizes, "v<>", strict=False):
        found.append(Series(_shape(one), [one], style.BLUE, marker, ""))
    if not any(main in one.members for one in found):
        label = f"{_shape(main)}, k {main.health['k']}"
        found.append(Series(label, [main], style.BLUE, "h", ""))
    for kind, role in CLOSED_FORMS.items():
        own = _by_l0(results, kind, *CONTROLS)
        if own:
            colour, line, marker = drawing.CONTROL_LOOK[role]
            found.append(Series(f"control: {role}", own, colour, marker, line))
    return found


def _by_l0(results: StudyResults, kind: str, *roles: Role) -> list[Dictionary]:
    own = [one for one in results.dictionaries if one.kind == kind and one.has(*roles)]
    return sorted(own, key=lambda one: one.health["l0"])


def _shape(one: Dictionary) -> str:
    return f"{one.kind}, {one.health['n_latents']:,} latents"


def _curve(axes: Axes, one: Series) -> None:
    l0, fvu = ([member.health[name] for member in one.members] for name in ("l0", "fvu"))
    look: dict[str, Any] = {"color": one.colour, "marker": one.marker, "ls": one.line or "none"}
    axes.plot(l0, fvu, ms=7, lw=1.4, label=one.label, **look, **_HOLLOW)


def _far_off(axes: Axes, results: StudyResults) -> None:
    """The controls that explain nothing."""
    for one in results.dictionaries:
        if one.has(Role.UNTRAINED):
            colour, _, marker = drawing.control_look(one)
            look: dict[str, Any] = {"color": colour, "marker": marker, "ms": 8, "ls": "none"}
            axes.plot(one.health["l0"], one.health["fvu"], label=f"control: {one.name}", **look)
    axes.axhline(1, color=style.INK, ls=":", lw=1.2, label="control: the mean")


def _ring(axes: Axes, x: float, y: float) -> None:
    """A mark around the main dictionary."""
    look: dict[str, Any] = {"color": style.INK, "marker": "o", "mfc": "none", "ls": "none"}
    axes.plot(x, y, ms=13, mew=1.2, label="main dictionary", **look)


def _side_by_side(axes: Axes, series: list[Series], main: Dictionary) -> None:
    """One place for each k, within it one column for each series."""
    ks = sorted({member.health["k"] for one in series for member in one.members})
    aside = (np.arange(len(series)) - (len(series) - 1) / 2) * (0.84 / max(1, len(series)))
    for one, shift in zip(series, aside.tolist(), strict=True):
        at = [ks.index(member.health["k"]) + shift for member in one.members]
        fvu = [member.health["fvu"] for member in one.members]
        axes.plot(at, fvu, color=one.colour, marker=one.marker, ms=5.5, ls="none", **_HOLLOW)
        for member, x, y in zip(one.members, at, fvu, strict=True):
            if member is main:
                _ring(axes, x, y)
    for border in range(1, len(ks)):
        axes.axvline(border - 0.5, color=style.GRID, lw=0.8)
    axes.set_xlim(-0.5, len(ks) - 0.5)
    axes.set_xticks(range(len(ks)), [str(k) for k in ks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("k, as trained")
    axes.set_title("by k, side by side", loc="left")


# --- F8 ------------------------------------------------------------------------------------------


def prediction_aware(results: StudyResults) -> Plot | None:
    """F8: variance unexplained and agreement with the recommender, by weight of the term."""
    series = {k: _by_coefficient(results, k) for k in PREDICTION_K}
    series = {k: members for k, members in series.items() if len(members) > 1}
    if not series:
        return None
    weights = sorted({weight for members in series.values() for weight in members})
    controls = [one for one in results.evaluated if one.has(*_REFERENCES)]
    figure, grid = drawing.panels(drawing.PAGE, 5.2, rows=2, columns=2)
    for axes, (name, shown) in zip(grid, _MEASURES.items(), strict=True):
        for (k, members), colour, marker, aside in zip(
            series.items(), (style.BLUE, style.RED), "os", (-0.13, 0.13), strict=False
        ):
            at = [weights.index(weight) + aside for weight in members]
            found = [_measured(one, name) for one in members.values()]
            look = {"color": colour, "marker": marker, "label": f"topk, k = {k}"}
            # Not joined: three weights are no curve.
            drawing.points(axes, at, found, **look, **_POINTS)
        for place, one in enumerate(controls, start=len(weights)):
            colour, _, marker = drawing.control_look(one)
            label = f"control: {one.name}, k = {one.health['k']}"
            look = {"color": colour, "marker": marker, "label": label}
            drawing.points(axes, [place], [_measured(one, name)], **look, **_POINTS)
        if name == "ndcg@10":
            axes.axhline(0, color=style.INK, ls=":", lw=1.2)
        _places(axes, weights, controls)
        axes.set_ylabel(shown, fontsize=9.5)
    drawing.legend_below(figure, 4)
    return drawing.captioned("F8", figure, results, n_latents=GRID_LATENTS)


def _measured(one: Dictionary, name: str) -> tuple[float, float, float]:
    """Mean, low, high; all the same where there is no interval."""
    if name == "fvu":
        return (one.health["fvu"],) * 3
    measured = one.fidelity()
    if name == "ndcg@10":
        return tuple(measured["difference"]["reconstruction"][name])
    means = measured["variants"]["reconstruction"]
    return (means[name], *means["intervals"][name])


def _places(axes: Axes, weights: list[float], controls: list[Dictionary]) -> None:
    """Weights first, then, behind a line, the controls."""
    names = [f"{weight:g}" for weight in weights]
    names += [shown for one in controls for role, shown in _REFERENCES.items() if one.has(role)]
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    if controls:
        axes.axvline(len(weights) - 0.5, color=style.INK, lw=0.6)
    axes.set_xlabel("weight of the term" + (" | controls" if controls else ""), fontsize=9.5)
    drawing.horizontal_grid(axes)


def _by_coefficient(results: StudyResults, k: int) -> dict[float, Dictionary]:
    """Evaluated dictionaries of the grid with this ``k``, by the weight of the term, rising."""
    found = {
        one.config.get("prediction_coefficient", 0.0): one
        for one in results.evaluated
        if one.has(Role.GRID_K, Role.PREDICTION) and one.config["k"] == k
    }
    return dict(sorted(found.items()))
