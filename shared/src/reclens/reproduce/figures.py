"""Figures F2 to F5 and F7."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import ScalarFormatter

from reclens.contracts.tables import EXAMPLES
from reclens.reproduce.collecting import Collected, Dictionary
from reclens.reproduce.plan import VARIANT_KINDS, Role
from reclens.reproduce.plot import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    STYLE,
    Plot,
)
from reclens.reproduce.prediction_figure import prediction_aware

_CONTROL_LOOK = {
    Role.UNTRAINED: (GREY, "--", "X"),
    Role.DIMENSIONS: (ORANGE, "-.", "P"),
    Role.PCA: (SKY, ":", "*"),
}
_KIND_LOOK = dict(
    zip(VARIANT_KINDS, ((BLUE, "o"), (GREEN, "s"), (PURPLE, "^"), (RED, "D")), strict=True)
)


def all_plots(collected: Collected) -> list[Plot]:
    """In order; one that there are no data for is left out."""
    with mpl.rc_context(STYLE):
        plots = [
            confidence(collected),
            examples(collected),
            quality(collected),
            levels(collected),
            pareto(collected),
            prediction_aware(collected),
        ]
    return [plot for plot in plots if plot is not None]


def _control_look(one: Dictionary) -> tuple[str, str, str]:
    return next(_CONTROL_LOOK[role] for role in one.roles if role in _CONTROL_LOOK)


def confidence(collected: Collected) -> Plot:
    """F2: confidence of the labels, the main dictionary's over the controls'."""
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.subplots()
    edges = np.linspace(0, 1, 41).tolist()
    main = collected.main
    assert main.concepts is not None
    for one in collected.evaluated:
        if one is not main and not one.is_control:
            continue
        values = _known(one, "confidence")
        if not len(values):
            continue
        weights = np.full(len(values), 100 / len(values))
        label = f"{one.name}: {len(values):,} judged, median {np.median(values):.2f}"
        if one is main:
            axes.hist(values, bins=edges, weights=weights, color=BLUE, alpha=0.75, label=label)
        else:
            colour, line, _ = _control_look(one)
            axes.hist(
                values,
                bins=edges,
                weights=weights,
                histtype="step",
                color=colour,
                ls=line,
                lw=1.6,
                label=f"control, {label}",
            )
    shuffled = main.concepts.metrics["shuffled_balanced_accuracy_median"]
    if shuffled is not None:
        axes.axvline(
            shuffled,
            color=INK,
            ls=(0, (1, 1)),
            lw=1.5,
            label=f"median with {main.name}'s labels shuffled: {shuffled:.2f}",
        )
    axes.set_xlim(0.3, 1)
    axes.set_ylim(top=axes.get_ylim()[1] * 1.45)
    axes.set_xlabel("confidence of a label (balanced accuracy on verification users; chance 0.5)")
    axes.set_ylabel("judged latents [%]")
    axes.legend(loc="upper right", fontsize=8.5)
    return Plot(
        "F2",
        "F2_confidence",
        "Confidence of the labels",
        "From the label alone a judge says whether the latent fires, on users that no label was "
        "made from; firing cases of all strengths, silent cases half of them look-alikes.",
        figure,
    )


def examples(collected: Collected) -> Plot | None:
    """F3: activations of the best-labelled latents with and without their concept."""
    table = collected.tables.get(EXAMPLES)
    shown = collected.main.evaluation.metrics["examples"] if collected.main.evaluation else []
    if table is None or not shown:
        return None
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.7 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, one in zip(grid, shown, strict=False):
        own = table.filter(pc.equal(table["latent"], one["latent"]))  # type: ignore[attr-defined]
        values = own["activation"].to_numpy()
        has = own["with_concept"].to_numpy(zero_copy_only=False)
        edges = np.linspace(0, max(float(values.max()), 1e-6), 25).tolist()
        for mask, colour, fill in ((~has, BLUE, 0.6), (has, ORANGE, 0.3)):
            firing = values[mask & (values > 0)]
            weights = np.full(len(firing), 100 / max(1, int(mask.sum())))
            axes.hist(firing, bins=edges, weights=weights, color=colour, alpha=fill)
            if colour == ORANGE:
                axes.hist(
                    firing, bins=edges, weights=weights, color=ORANGE, histtype="step", lw=1.8
                )
        axes.set_title(
            f"{_short(one['label'])} (latent {one['latent']})\n"
            f"fires: with {_percent(one['fires_with'])}, without {_percent(one['fires_without'])}",
            fontsize=9,
            loc="left",
        )
    for axes in grid[len(shown) :]:
        axes.axis("off")
    for axes in grid[::columns]:
        axes.set_ylabel("cases of that kind [%]")
    for axes in grid[max(0, len(shown) - columns) : len(shown)]:
        axes.set_xlabel("activation")
    handles = [Patch(color=ORANGE, alpha=0.6), Patch(color=BLUE, alpha=0.6)]
    figure.legend(
        handles,
        ["cases with the concept in the top item", "cases without"],
        loc="outside lower center",
        ncols=2,
    )
    return Plot(
        "F3",
        "F3_activations",
        "Activations with and without the concept",
        f"The {len(shown)} trusted latents with the highest confidence, each with "
        f"another label, on {shown[0]['cases']:,} cases of test users, that labels were neither "
        "made from nor judged on. Bars: share of the cases with (or without) the concept that "
        "fire the latent so strongly; titles: share that fire it at all.",
        figure,
    )


def quality(collected: Collected) -> Plot:
    """F4: distinct concepts against recommendation quality."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    base = collected.main.fidelity()["variants"]["base"]["ndcg@10"]
    axes.axvline(base, color=INK, ls=":", lw=1.4, label=f"base, untouched: {base:.4f}")
    shown = [one for one in collected.evaluated if not one.has(Role.PREDICTION)]
    heights = [one.concepts.metrics["distinct"] for one in shown if one.concepts]
    for one in shown:
        assert one.concepts is not None
        height = one.concepts.metrics["distinct"]
        crowded = any(0 < other - height < 0.08 * max(heights) for other in heights)
        means = one.fidelity()["variants"]["reconstruction"]
        low, high = means["intervals"]["ndcg@10"]
        colour, _, marker = _control_look(one) if one.is_control else (BLUE, "-", "o")
        axes.errorbar(
            means["ndcg@10"],
            height,
            xerr=[[means["ndcg@10"] - low], [high - means["ndcg@10"]]],
            color=colour,
            marker=marker,
            ms=8 if one is collected.main else 6,
            lw=0.8,
            capsize=2,
            ls="none",
        )
        axes.annotate(
            f"control: {one.name}" if one.is_control else one.name,
            (means["ndcg@10"], height),
            xytext=(5, -5 if crowded else 5),
            textcoords="offset points",
            va="top" if crowded else "bottom",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85},
            fontsize=8.5,
            color=colour,
        )
    axes.set_ylim(bottom=0)
    axes.margins(x=0.12)
    axes.set_xlabel("NDCG@10 of the reconstruction, with 95 % interval over users")
    axes.set_ylabel("distinct labels")
    axes.legend(loc="lower left", fontsize=8.5)
    users = collected.main.fidelity()["users"]
    return Plot(
        "F4",
        "F4_concepts_and_quality",
        "Distinct concepts against recommendation quality",
        f"Each point is one labelled dictionary of this data set and model (latents/k), measured "
        f"on {users:,} users that it was not trained on. The intervals of different points are of "
        "the same users, so differences are surer than they look; T3b has them.",
        figure,
    )


def levels(collected: Collected) -> Plot | None:
    """F5: concept hit ratio by activation level."""
    evaluation = collected.main.evaluation
    if evaluation is None:
        return None
    measured = evaluation.metrics["levels"]
    groups = {
        "interpretable": "{:,} latents with P ≥ 0.8",
        "labelled": "all {:,} labelled latents",
    }
    groups = {name: shown for name, shown in groups.items() if measured[name]["latents"]}
    if not groups:
        return None
    figure = Figure(figsize=(4.1 * len(groups), 3.8), layout="constrained")
    for axes, (name, shown) in zip(
        figure.subplots(1, len(groups), squeeze=False, sharey=True).ravel(),
        groups.items(),
        strict=True,
    ):
        _level_panel(axes, measured[name], shown.format(measured[name]["latents"]))
    figure.axes[0].set_ylabel("concept hit ratio of the top item")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return Plot(
        "F5",
        "F5_hit_ratio_by_level",
        "Concept hit ratio by activation level",
        "Share of cases whose top item carries the latent's label, by equal-frequency level of the "
        "latent's activation; mean over latents with 95 % interval. Cases of test users, that "
        "labels were neither made from nor judged on.",
        figure,
    )


def _level_panel(axes: Axes, measured: dict[str, Any], title: str) -> None:
    for curve, colour, style, label in (
        ("hit_ratio", BLUE, {"marker": "o", "lw": 1.8}, "own label"),
        (
            "exchanged",
            GREY,
            {"marker": "s", "ls": "--", "lw": 1.3},
            "control: another latent's label",
        ),
    ):
        rows = np.array(measured[curve], float)
        at = np.arange(len(rows))
        axes.plot(at[1:], rows[1:, 0], color=colour, ms=4, label=label, **style)
        axes.fill_between(at[1:], rows[1:, 1], rows[1:, 2], color=colour, alpha=0.18, lw=0)
        axes.plot(at[0], rows[0, 0], color=colour, marker=style["marker"], ms=4, mfc="white")
    axes.axhline(measured["average"], color=RED, lw=1.5, label="average of all cases")
    axes.set_xticks(range(11), ["silent", *map(str, range(1, 11))], fontsize=8.5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("activation level (1 weakest, 10 strongest)")
    axes.set_title(title, loc="left")


def pareto(collected: Collected) -> Plot:
    """F7: what is left unexplained against how many latents it takes."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for kind, (colour, marker) in _KIND_LOOK.items():
        own = [
            one.health
            for one in collected.dictionaries
            if one.kind == kind and (one.has(Role.VARIANT) or one.has(Role.GRID_K))
        ]
        points = sorted((metrics["l0"], metrics["fvu"]) for metrics in own)
        if points:
            latents = own[0]["n_latents"]
            axes.plot(
                *zip(*points, strict=True),
                color=colour,
                marker=marker,
                ms=6,
                lw=1.6,
                label=f"{kind}, {latents:,} latents",
            )
    sizes = [
        one.health
        for one in collected.dictionaries
        if one.has(Role.GRID_SIZE) and not one.has(Role.GRID_K)
    ]
    sizes.sort(key=lambda metrics: metrics["n_latents"])
    for metrics, marker in zip(sizes, "v^<>", strict=False):
        axes.plot(
            metrics["l0"],
            metrics["fvu"],
            color=BLUE,
            marker=marker,
            ms=7,
            mfc="white",
            ls="",
            label=f"topk, {metrics['n_latents']:,} latents",
        )
    for one in collected.dictionaries:
        if one.is_control:
            colour, _, marker = _control_look(one)
            axes.plot(
                one.health["l0"],
                one.health["fvu"],
                color=colour,
                marker=marker,
                ms=9,
                ls="",
                label=f"control: {one.name}",
            )
    axes.axhline(1, color=INK, ls=":", lw=1.2, label="control: the mean")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.grid(True, which="major", color="#e5e5e5", lw=0.8)
    axes.set_xlabel("L0: latents that fire per case (log scale)")
    axes.set_ylabel("FVU on held-out users (log scale)")
    axes.legend(fontsize=8.5, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return Plot(
        "F7",
        "F7_fvu_against_l0",
        "Variance unexplained against sparsity",
        "Lower left is better. Both axes are measured on users that were not trained on; "
        "architectures whose width varies are trained towards an average of 8, 16 and 32.",
        figure,
    )


def _known(one: Dictionary, column: str) -> np.ndarray:
    assert one.labels is not None
    return one.labels[column].drop_null().to_numpy()


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{share:.1%}"


def _short(text: str) -> str:
    return text if len(text) <= 30 else text[:29] + "…"
