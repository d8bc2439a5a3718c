"""Figures F2, F3 and F5: what the labels of the main dictionary are worth."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from reclens.concepts.evidence.latent_evidence import N_LEVELS
from reclens.concepts.labels.rows import ONE_ITEM, names_one_item
from reclens.contracts.tables import EXAMPLES, LEVELS
from reclens.evaluation.levels import MIN_FIRING, LevelCounts, exchanged
from reclens.evaluation.statistics import N_RESAMPLES
from reclens.studies import style
from reclens.studies.reproduce.experiment.results import StudyResults
from reclens.studies.reproduce.report import drawing
from reclens.studies.reproduce.report.drawing import Plot
from reclens.studies.templates import number, shortened

MIN_JUDGED = 20
"""Judged labels from which on a control's histogram is drawn; one label alone is a bar of 100 %."""
MAX_EXAMPLES = 6
"""Panels of F3."""
MAX_ONE_ITEM = 2
"""Of them, latents labelled by one item at most: they say little of what a dictionary can."""

_N_LEVELS = 1 + N_LEVELS  # silent, then 1 to 10


# --- F2 ------------------------------------------------------------------------------------------


def confidence(results: StudyResults) -> Plot:
    """F2: confidence of the labels, the main dictionary's over the controls'."""
    figure, (axes,) = drawing.panels(drawing.COLUMN, 4.3)
    main = results.main
    lowest = 0.4
    for one in [main, *results.controls]:
        values = one.judged("confidence")
        name = f"control, {one.name}" if one.is_control else f"{one.name} (main)"
        label = f"{name}: {len(values):,} judged of {one.labelling['alive']:,} alive"
        if len(values) < (1 if one is main else MIN_JUDGED):
            axes.add_line(drawing.said(f"{label}: not drawn"))
            continue
        lowest = min(lowest, float(values.min()))
        look: dict[str, Any] = {"color": style.BLUE, "alpha": 0.55}
        if one is not main:
            colour, line, _ = drawing.control_look(one)
            look = {"histtype": "step", "color": colour, "ls": line, "lw": 1.8}
        axes.hist(
            values,
            bins=np.linspace(0, 1, 41).tolist(),
            weights=np.full(len(values), 100 / len(values)),
            label=f"{label}, median {np.median(values):.2f}",
            **look,
        )
    shuffled = main.labelling["shuffled_balanced_accuracy_median"]
    if shuffled is not None:
        label = f"control, own labels shuffled among latents: median {shuffled:.2f}"
        axes.axvline(shuffled, color=style.INK, ls=(0, (1, 1)), lw=1.5, label=label)
    axes.set_xlim(np.floor(lowest * 10) / 10, 1)
    axes.set_xlabel("confidence of a label (balanced accuracy; chance 0.5)")
    axes.set_ylabel("share of its judged latents [%]")
    figure.legend(loc="outside lower left")
    return drawing.captioned("F2", figure, results, least=MIN_JUDGED)


# --- F3 ------------------------------------------------------------------------------------------


def examples(results: StudyResults) -> Plot | None:
    """F3: activations of the best-labelled latents with and without their concept."""
    table = results.tables.get(EXAMPLES.file)
    shown = chosen_examples(results)
    if table is None or not shown:
        return None
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    width = drawing.PAGE if columns > 1 else drawing.COLUMN
    figure, grid = drawing.panels(width, 2.25 * rows + 0.7, rows, columns, sharex=True)
    for axes, one in zip(grid, shown, strict=False):
        own = table.filter(pc.equal(table["latent"], one["latent"]))  # type: ignore[attr-defined]
        _example_panel(axes, one, own)
    for axes in grid[len(shown) :]:
        axes.axis("off")
    # A panel above an empty place has no neighbour below to carry the numbers of its axis.
    for axes in grid[max(0, len(shown) - columns) : len(shown)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("activation / 99th percentile of the latent's firing cases", fontsize=9.5)
    figure.supylabel("cases of that kind [%], scales differ", fontsize=9.5)
    handles = [
        Patch(color=style.ORANGE, alpha=0.6, label="cases with the concept in the top item"),
        Patch(color=style.BLUE, alpha=0.6, label="cases without"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    told = {"cases": shown[0]["cases"], "untitled": _is_untitled(results, shown)}
    return drawing.captioned("F3", figure, results, most_of_one_item=MAX_ONE_ITEM, **told)


def chosen_examples(results: StudyResults) -> list[dict[str, Any]]:
    """Those of the measured examples that are drawn, best first."""
    telling = [
        one
        for one in results.main.measured["examples"]
        if (one["fires_with"] or 0.0) > (one["fires_without"] or 0.0)
    ]
    telling.sort(key=lambda one: (-one["confidence"], one["latent"]))
    shared = [one for one in telling if not _names_one_item(results, one)]
    single = [one for one in telling if _names_one_item(results, one)]
    return [*shared, *single[:MAX_ONE_ITEM]][:MAX_EXAMPLES]


def _names_one_item(results: StudyResults, one: dict[str, Any]) -> bool:
    return names_one_item(one["label"], results.main.column("source")[one["latent"]].as_py())


def _example_panel(axes: Axes, one: dict[str, Any], own: pa.Table) -> None:
    values = own["activation"].to_numpy()
    has = own["with_concept"].to_numpy(zero_copy_only=False)
    fires = values > 0
    values = values / np.percentile(values[fires], 99)
    edges = np.linspace(0, float(values.max()), 25).tolist()
    for mask, colour, fill in ((~has, style.BLUE, 0.6), (has, style.ORANGE, 0.3)):
        firing = values[mask & fires]
        weights = np.full(len(firing), 100 / max(1, int(mask.sum())))
        shared: dict[str, Any] = {"bins": edges, "weights": weights, "color": colour}
        axes.hist(firing, alpha=fill, **shared)
        if mask is has:
            axes.hist(firing, histtype="step", lw=1.6, **shared)
    axes.tick_params(labelsize=8.5)
    axes.set_title(
        f"{shortened(one['label'], 22)} (latent {one['latent']})\n"
        f"fires in {number(one['fires_with'], '.1%')} of {one['cases_with']:,} with it,\n"
        f"in {number(one['fires_without'], '.1%')} of {one['cases'] - one['cases_with']:,} without",
        fontsize=8.5,
        loc="left",
    )


def _is_untitled(results: StudyResults, shown: list[dict[str, Any]]) -> bool:
    """Whether items have ids alone: a label by one item then names its id."""
    evidence = results.main.column("evidence_items")
    return any(
        _names_one_item(results, one)
        and one["label"].removeprefix(ONE_ITEM) in evidence[one["latent"]].as_py()
        for one in shown
    )


# --- F5 ------------------------------------------------------------------------------------------


class LevelCurves(NamedTuple):
    """Hit ratio by activation level of a group of latents."""

    own: np.ndarray
    """float64 [11, 3]: mean over latents at the levels from silent to 10, low, high."""
    exchanged: np.ndarray
    """float64 [11, 3]: the same with the label of another latent."""
    average: float
    """Hit ratio over all cases, mean over latents."""
    latents: int
    """Latents of the group."""
    labels: int
    """Distinct labels among them."""


def level_curves(results: StudyResults, *, least_p: float) -> LevelCurves | None:
    """Curves of the labelled latents with P of at least ``least_p``; None without any.

    Latents that share a label share its items too, so intervals are drawn over labels: each
    resample takes labels with replacement, with all latents that carry them.
    """
    main = results.main
    table = results.tables.get(LEVELS.file)
    if table is None:
        return None
    table = table.sort_by([("latent", "ascending"), ("level", "ascending")])
    latents = table["latent"].to_numpy()[::_N_LEVELS]
    cases, hits, exchanged_hits = (
        table[name].to_numpy().reshape(-1, _N_LEVELS)
        for name in ("cases", "hits", "exchanged_hits")
    )
    counts, control = LevelCounts(cases, hits), LevelCounts(cases, exchanged_hits)
    seed = main.measured_with("seed")
    own = np.array(main.column("label").take(pa.array(latents)).to_pylist())
    # The same exchange as in the evaluation, which keeps its outcome but not the labels.
    others = exchanged(dict(zip(latents.tolist(), own, strict=True)), seed=seed)
    other = np.array([*others.values()])
    chosen = main.column("paper_p").fill_null(0.0).to_numpy()[latents] >= least_p
    if not chosen.any():
        return None
    return LevelCurves(
        own=_over_labels(counts.hit_ratio[chosen], own[chosen], seed),
        exchanged=_over_labels(control.hit_ratio[chosen], other[chosen], seed),
        average=float(counts.average[chosen].mean()),
        latents=int(chosen.sum()),
        labels=len(np.unique(own[chosen])),
    )


def _ratio(hits: np.ndarray, cases: np.ndarray) -> np.ndarray:
    return np.divide(hits, cases, out=np.full(hits.shape, np.nan), where=cases > 0)


def _over_labels(ratios: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Mean over latents of [n_latents, n_levels] with its interval over labels, [n_levels, 3]."""
    names, index = np.unique(labels, return_inverse=True)
    known = np.isfinite(ratios)
    sums, counts = np.zeros((2, len(names), ratios.shape[1]))
    np.add.at(sums, index, np.where(known, ratios, 0.0))
    np.add.at(counts, index, known)
    drawn = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=N_RESAMPLES
    )
    means = _ratio(drawn @ sums, drawn @ counts)
    mean = _ratio(sums.sum(0), counts.sum(0))
    # A level that no latent has is NaN in every resample, which nanquantile would warn of.
    low_high = np.full((2, len(mean)), np.nan)
    there = np.isfinite(mean)
    low_high[:, there] = np.nanquantile(means[:, there], [0.025, 0.975], axis=0)
    return np.column_stack([mean, *low_high])


def levels(results: StudyResults) -> Plot | None:
    """F5: concept hit ratio by activation level."""
    least_p = results.main.measured_with("interpretable")
    groups = {
        f"P ≥ {least_p:g}": level_curves(results, least_p=least_p),
        "all labelled": level_curves(results, least_p=0.0),
    }
    found = {name: curves for name, curves in groups.items() if curves is not None}
    if not found:
        return None
    width = drawing.PAGE if len(found) > 1 else drawing.COLUMN
    figure, grid = drawing.panels(width, 3.6, columns=len(found), sharey=True)
    for axes, (name, curves) in zip(grid, found.items(), strict=True):
        _level_panel(axes, curves)
        axes.set_title(
            f"{name}: {curves.latents:,} latents, {curves.labels:,} labels",
            loc="left",
            fontsize=9.5,
        )
    figure.axes[0].set_ylabel("concept hit ratio of the top item")
    drawing.legend_below(figure, 3)
    return drawing.captioned("F5", figure, results, least=MIN_FIRING)


def _level_panel(axes: Axes, curves: LevelCurves) -> None:
    look: dict[str, Any]
    line: dict[str, Any]
    own = {"color": style.BLUE, "marker": "o"}, {"lw": 1.8}
    other = {"color": style.GREY, "marker": "s"}, {"lw": 1.3, "ls": "--"}
    for rows, (look, line), aside, label in (
        (curves.own, own, -0.25, "own label"),
        (curves.exchanged, other, 0.25, "control: another latent's label"),
    ):
        at = np.arange(1, len(rows))
        axes.plot(at, rows[1:, 0], ms=4, label=label, **look, **line)
        axes.fill_between(at, rows[1:, 1], rows[1:, 2], color=look["color"], alpha=0.18, lw=0)
        # Both are close to the average of all cases, so they stand side by side.
        drawing.points(axes, [aside], [rows[0]], ms=4.5, mfc="white", lw=1.2, zorder=4, **look)
    axes.axhline(curves.average, color=style.RED, lw=1.5, label="average of all cases")
    axes.set_xticks(range(_N_LEVELS), ["silent", *map(str, range(1, _N_LEVELS))], fontsize=8.5)
    axes.set_xlim(-0.7, _N_LEVELS - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("activation level (1 weakest, 10 strongest)")
