"""Figures F4 and F7: dictionaries side by side, learned ones and controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

from reclens.studies.reproduce.experiment.plan import Role
from reclens.studies.reproduce.experiment.results import Collected, Dictionary
from reclens.studies.reproduce.report.plot import (
    BLUE,
    COLUMN,
    CONTROL_LOOK,
    GRID,
    INK,
    KIND_LOOK,
    PAGE,
    Plot,
    control_look,
    horizontal_grid,
)
from reclens.studies.reproduce.report.tables_dictionary import labelled

_MARKERS = "vsD^<>h"  # of learned dictionaries beside the main one
_CLOSED_FORMS = {"dimensions": Role.DIMENSIONS, "pca": Role.PCA}


# --- F4 ------------------------------------------------------------------------------------------


def quality(collected: Collected) -> Plot:
    """F4: distinct concepts against recommendation quality."""
    figure = Figure(figsize=(COLUMN, 4.9), layout="constrained")
    axes = figure.subplots()
    base = collected.main.fidelity()["variants"]["base"]["ndcg@10"]
    axes.axvline(0, color=INK, ls=":", lw=1.4, label=f"base, untouched: NDCG@10 {base:.4f}")
    markers = iter(_MARKERS)
    highest = 1
    for one in collected.evaluated:
        if one.has(Role.PREDICTION):
            continue
        assert one.concepts is not None
        height = one.concepts.metrics["distinct"]
        highest = max(highest, height)
        mean, low, high = one.fidelity()["difference"]["reconstruction"]["ndcg@10"]
        colour, marker, fill = _look(collected, one, markers)
        axes.errorbar(
            mean,
            height,
            xerr=[[mean - low], [high - mean]],
            color=colour,
            marker=marker,
            ms=10 if one is collected.main else 7,
            mfc=fill,
            mec=INK if one is collected.main else colour,
            lw=1,
            capsize=2,
            ls="none",
            label=labelled(one),
        )
    # Room below 0: a control with no label at all is a whole marker too.
    axes.set_ylim(-0.06 * highest, 1.08 * highest)
    axes.margins(x=0.05)
    horizontal_grid(axes)
    axes.set_xlabel("NDCG@10 of the reconstruction less the base's")
    axes.set_ylabel("distinct labels")
    figure.legend(loc="outside lower left", ncols=2)
    users = collected.main.fidelity()["users"]
    return Plot(
        "F4",
        "F4_concepts_and_quality",
        "Distinct concepts against recommendation quality",
        f"Each point is one labelled dictionary of this data set and model (latents/k), measured "
        f"on {users:,} users that it was not trained on, with the 95 % interval of the difference "
        f"user by user.{collected.note_on_origin} Further up and to the right is better.",
        figure,
    )


def _look(collected: Collected, one: Dictionary, markers: Iterator[str]) -> tuple[str, str, str]:
    """Colour, marker, filling."""
    if one.is_control:
        colour, _, marker = control_look(one)
        return colour, marker, colour
    if one is collected.main:
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
    """For the legend."""
    members: Sequence[Dictionary]
    """By L0, rising."""
    colour: str
    """Of line and marker."""
    marker: str
    """Its shape."""
    line: str
    """Dashes; empty for single points."""


def pareto(collected: Collected) -> Plot:
    """F7: what is left unexplained against how many latents it takes."""
    figure = Figure(figsize=(PAGE, 5.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    series = pareto_series(collected)
    for one in series:
        _curve(left, one)
    _far_off(left, collected)
    _ring(left, [(collected.main.health["l0"], collected.main.health["fvu"])])
    left.set_xscale("log", base=2)
    left.xaxis.set_major_formatter(ScalarFormatter())
    left.set_xlabel("L0: latents that fire per case (log scale)")
    left.set_ylabel("FVU on held-out users (log scale)")
    left.set_title("by L0, as measured", loc="left")
    _side_by_side(right, series, collected.main)
    for axes in (left, right):
        axes.set_yscale("log")
        axes.grid(True, axis="both" if axes is left else "y", color=GRID, lw=0.8)
    # Less than a decade has no power of ten to read heights by.
    right.yaxis.set_minor_formatter(NullFormatter())
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return Plot(
        "F7",
        "F7_fvu_against_l0",
        "Variance unexplained against sparsity",
        "Lower left is better. Both axes are measured on users that were not trained on; "
        "architectures whose width varies are trained towards an average of 8, 16 and 32. Raw "
        "dimensions and PCA need no training and are taken at every k. Right: the same learned and "
        f"closed-form dictionaries, those of one k side by side.{_note_on_thresholds(collected)}",
        figure,
    )


def _note_on_thresholds(collected: Collected) -> str:
    """Why a dictionary with thresholds is far from its k here, where one is."""
    wide = [
        one
        for one in collected.dictionaries
        if one.kind in THRESHOLD_KINDS and one.health["l0"] > FAR_FROM_K * one.health["k"]
    ]
    if not wide:
        return ""
    worst = max(wide, key=lambda one: one.health["l0"] / one.health["k"])
    return (
        " Where a threshold decides, nothing bounds how many latents fire: held-out cases unlike "
        f"those trained on fire far more and are reconstructed worse for it (L0 up to "
        f"{worst.health['l0']:.1f} at k {worst.health['k']}); topk has no such cases."
    )


def pareto_series(collected: Collected) -> list[Series]:
    """What F7 shows, the main dictionary among them even where no grid has its shape."""
    found: list[Series] = []
    for kind, (colour, marker) in KIND_LOOK.items():
        own = [
            one
            for one in collected.dictionaries
            if one.kind == kind and (one.has(Role.VARIANT) or one.has(Role.GRID_K))
        ]
        if own:
            latents = own[0].health["n_latents"]
            found.append(Series(f"{kind}, {latents:,} latents", _by_l0(own), colour, marker, "-"))
    sizes = [
        one
        for one in collected.dictionaries
        if one.has(Role.GRID_SIZE) and not one.has(Role.GRID_K)
    ]
    sizes.sort(key=lambda one: one.health["n_latents"])
    for one, marker in zip(sizes, "v<>", strict=False):
        found.append(
            Series(f"{one.kind}, {one.health['n_latents']:,} latents", [one], BLUE, marker, "")
        )
    if not any(collected.main in one.members for one in found):
        main = collected.main
        label = f"{main.kind}, {main.health['n_latents']:,} latents, k {main.health['k']}"
        found.append(Series(label, [main], BLUE, "h", ""))
    for kind, role in _CLOSED_FORMS.items():
        own = [one for one in collected.dictionaries if one.kind == kind and one.is_control]
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


def _far_off(axes: Axes, collected: Collected) -> None:
    """The controls that explain nothing."""
    for one in collected.dictionaries:
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
