"""Figures F4, F7 and F8: dictionaries side by side, learned ones and controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

from reclens.studies.reproduce.experiment.plan import GRID_LATENTS, PREDICTION_K, Role
from reclens.studies.reproduce.experiment.results import Dictionary, StudyResults
from reclens.studies.reproduce.report.plot import (
    BLUE,
    COLUMN,
    CONTROL_LOOK,
    GRID,
    INK,
    KIND_LOOK,
    PAGE,
    RED,
    Plot,
    control_look,
    horizontal_grid,
    legend_below,
    panels,
    plot,
    points,
)

_MARKERS = "vsD^<>h"  # of learned dictionaries beside the main one
_CLOSED_FORMS = {"dimensions": Role.DIMENSIONS, "pca": Role.PCA}
_MEASURES = {
    "fvu": "FVU on held-out users",
    "ndcg@10": "NDCG@10 less the base's",
    "overlap@10": "overlap@10 with the base",
    "kendall": "Kendall's τ with the base",
}
_REFERENCES = {Role.DIMENSIONS: "raw\ndims", Role.PCA: "PCA"}
_POINTS: dict[str, Any] = {"ms": 6, "lw": 1.2, "capsize": 2.5}  # of F8


# --- F4 ------------------------------------------------------------------------------------------


def quality(results: StudyResults) -> Plot:
    """F4: distinct concepts against recommendation quality."""
    figure, (axes,) = panels(COLUMN, 4.9)
    base = results.main.fidelity()["variants"]["base"]["ndcg@10"]
    axes.axvline(0, color=INK, ls=":", lw=1.4, label=f"base, untouched: NDCG@10 {base:.4f}")
    markers = iter(_MARKERS)
    highest = 1
    for one in results.evaluated:
        if one.has(Role.PREDICTION):
            continue
        height = one.labelling["distinct"]
        highest = max(highest, height)
        lost = one.fidelity()["difference"]["reconstruction"]["ndcg@10"]
        colour, marker, fill = _look(results, one, markers)
        points(
            axes,
            [height],
            [lost],
            upright=False,
            color=colour,
            marker=marker,
            ms=10 if one is results.main else 7,
            mfc=fill,
            mec=INK if one is results.main else colour,
            lw=1,
            capsize=2,
            label=one.title,
        )
    # Room below 0: a control with no label at all is a whole marker too.
    axes.set_ylim(-0.06 * highest, 1.08 * highest)
    axes.margins(x=0.05)
    horizontal_grid(axes)
    axes.set_xlabel("NDCG@10 of the reconstruction less the base's")
    axes.set_ylabel("distinct labels")
    figure.legend(loc="outside lower left", ncols=2)
    return plot("F4", figure, results)


def _look(results: StudyResults, one: Dictionary, markers: Iterator[str]) -> tuple[str, str, str]:
    """Colour, marker, filling."""
    if one.is_control:
        colour, _, marker = control_look(one)
        return colour, marker, colour
    if one is results.main:
        return BLUE, "o", BLUE
    return BLUE, next(markers, "o"), "white"


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
    figure, (left, right) = panels(PAGE, 5.0, columns=2)
    series = pareto_series(results)
    for one in series:
        _curve(left, one)
    _far_off(left, results)
    _ring(left, [(results.main.health["l0"], results.main.health["fvu"])])
    left.set_xscale("log", base=2)
    left.xaxis.set_major_formatter(ScalarFormatter())
    left.set_xlabel("L0: latents that fire per case (log scale)")
    left.set_ylabel("FVU on held-out users (log scale)")
    left.set_title("by L0, as measured", loc="left")
    _side_by_side(right, series, results.main)
    for axes in (left, right):
        axes.set_yscale("log")
        axes.grid(True, axis="both" if axes is left else "y", color=GRID, lw=0.8)
    # Less than a decade has no power of ten to read heights by.
    right.yaxis.set_minor_formatter(NullFormatter())
    legend_below(figure, 3)
    return plot("F7", figure, results, widest=_widest(results))


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
    found: list[Series] = []
    for kind, (colour, marker) in KIND_LOOK.items():
        own = [
            one
            for one in results.dictionaries
            if one.kind == kind and (one.has(Role.VARIANT) or one.has(Role.GRID_K))
        ]
        if own:
            latents = own[0].health["n_latents"]
            found.append(Series(f"{kind}, {latents:,} latents", _by_l0(own), colour, marker, "-"))
    sizes = [
        one for one in results.dictionaries if one.has(Role.GRID_SIZE) and not one.has(Role.GRID_K)
    ]
    sizes.sort(key=lambda one: one.health["n_latents"])
    for one, marker in zip(sizes, "v<>", strict=False):
        found.append(
            Series(f"{one.kind}, {one.health['n_latents']:,} latents", [one], BLUE, marker, "")
        )
    if not any(results.main in one.members for one in found):
        main = results.main
        label = f"{main.kind}, {main.health['n_latents']:,} latents, k {main.health['k']}"
        found.append(Series(label, [main], BLUE, "h", ""))
    for kind, role in _CLOSED_FORMS.items():
        own = [one for one in results.dictionaries if one.kind == kind and one.is_control]
        if own:
            colour, line, marker = CONTROL_LOOK[role]
            found.append(Series(f"control: {role}", _by_l0(own), colour, marker, line))
    return found


def _by_l0(own: list[Dictionary]) -> list[Dictionary]:
    return sorted(own, key=lambda one: one.health["l0"])


def _curve(axes: Axes, one: Series) -> None:
    axes.plot(
        [member.health["l0"] for member in one.members],
        [member.health["fvu"] for member in one.members],
        color=one.colour,
        marker=one.marker,
        # Hollow, so that one does not hide what lies below it.
        mfc="none",
        mew=1.4,
        ms=7,
        ls=one.line or "none",
        lw=1.4,
        label=one.label,
    )


def _far_off(axes: Axes, results: StudyResults) -> None:
    """The controls that explain nothing."""
    for one in results.dictionaries:
        if one.has(Role.UNTRAINED):
            colour, _, marker = control_look(one)
            axes.plot(
                one.health["l0"],
                one.health["fvu"],
                color=colour,
                marker=marker,
                ms=8,
                ls="none",
                label=f"control: {one.name}",
            )
    axes.axhline(1, color=INK, ls=":", lw=1.2, label="control: the mean")


def _ring(axes: Axes, at: list[tuple[float, float]]) -> None:
    """A mark around the main dictionary."""
    axes.plot(
        *zip(*at, strict=True),
        color=INK,
        marker="o",
        mfc="none",
        ms=13,
        mew=1.2,
        ls="none",
        label="main dictionary",
    )


def _side_by_side(axes: Axes, series: list[Series], main: Dictionary) -> None:
    """One place for each k, within it one column for each series."""
    ks = sorted({member.health["k"] for one in series for member in one.members})
    aside = (np.arange(len(series)) - (len(series) - 1) / 2) * (0.84 / max(1, len(series)))
    for one, shift in zip(series, aside.tolist(), strict=True):
        at = [
            (ks.index(member.health["k"]) + shift, member.health["fvu"]) for member in one.members
        ]
        axes.plot(
            *zip(*at, strict=True),
            color=one.colour,
            marker=one.marker,
            mfc="none",
            mew=1.4,
            ms=5.5,
            ls="none",
        )
        _ring(axes, [place for place, it in zip(at, one.members, strict=True) if it is main] or [])
    for border in range(1, len(ks)):
        axes.axvline(border - 0.5, color=GRID, lw=0.8)
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
    controls = [one for one in results.evaluated if any(one.has(role) for role in _REFERENCES)]
    figure, grid = panels(PAGE, 5.2, rows=2, columns=2)
    for axes, (name, shown) in zip(grid, _MEASURES.items(), strict=True):
        for (k, members), colour, marker, aside in zip(
            series.items(), (BLUE, RED), "os", (-0.13, 0.13), strict=False
        ):
            at = [weights.index(weight) + aside for weight in members]
            label = f"topk, k = {k}"
            found = [_measured(one, name) for one in members.values()]
            # Not joined: three weights are no curve.
            points(axes, at, found, color=colour, marker=marker, label=label, **_POINTS)
        for place, one in enumerate(controls, start=len(weights)):
            colour, _, marker = control_look(one)
            label = f"control: {one.name}, k = {one.health['k']}"
            found = [_measured(one, name)]
            points(axes, [place], found, color=colour, marker=marker, label=label, **_POINTS)
        if name == "ndcg@10":
            axes.axhline(0, color=INK, ls=":", lw=1.2)
        _places(axes, weights, controls)
        axes.set_ylabel(shown, fontsize=9.5)
    legend_below(figure, 4)
    return plot("F8", figure, results, n_latents=GRID_LATENTS)


def _measured(one: Dictionary, name: str) -> tuple[float, float, float]:
    """Mean, low, high; all the same where there is no interval."""
    if name == "fvu":
        value = one.health["fvu"]
        return value, value, value
    measured = one.fidelity()
    if name == "ndcg@10":
        mean, low, high = measured["difference"]["reconstruction"][name]
        return mean, low, high
    means = measured["variants"]["reconstruction"]
    low, high = means["intervals"][name]
    return means[name], low, high


def _places(axes: Axes, weights: list[float], controls: list[Dictionary]) -> None:
    """Weights first, then, behind a line, the controls."""
    names = [
        next(shown for role, shown in _REFERENCES.items() if one.has(role)) for one in controls
    ]
    axes.set_xticks(
        range(len(weights) + len(names)), [*(f"{weight:g}" for weight in weights), *names]
    )
    axes.set_xlim(-0.5, len(weights) + len(names) - 0.5)
    if controls:
        axes.axvline(len(weights) - 0.5, color=INK, lw=0.6)
    axes.set_xlabel("weight of the term" + (" | controls" if controls else ""), fontsize=9.5)
    horizontal_grid(axes)


def _by_coefficient(results: StudyResults, k: int) -> dict[float, Dictionary]:
    """Evaluated dictionaries of the grid with this ``k``, by the weight of the term, rising."""
    found: dict[float, Dictionary] = {}
    for one in results.evaluated:
        config = one.config
        if (one.has(Role.GRID_K) or one.has(Role.PREDICTION)) and config["k"] == k:
            found[config.get("prediction_coefficient", 0.0)] = one
    return dict(sorted(found.items()))
