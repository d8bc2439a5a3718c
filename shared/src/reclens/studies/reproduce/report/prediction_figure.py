"""Figure F8: what the prediction-aware term buys, and what it costs."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reclens.studies.reproduce.experiment.plan import GRID_LATENTS, PREDICTION_K, Role
from reclens.studies.reproduce.experiment.results import Collected, Dictionary
from reclens.studies.reproduce.report.plot import (
    BLUE,
    INK,
    PAGE,
    RED,
    Plot,
    control_look,
    horizontal_grid,
)

_MEASURES = {
    "fvu": "FVU on held-out users",
    "ndcg@10": "NDCG@10 less the base's",
    "overlap@10": "overlap@10 with the base",
    "kendall": "Kendall's τ with the base",
}
_REFERENCES = {Role.DIMENSIONS: "raw\ndims", Role.PCA: "PCA"}


def prediction_aware(collected: Collected) -> Plot | None:
    """F8: variance unexplained and agreement with the recommender, by weight of the term."""
    series = {k: _by_coefficient(collected, k) for k in PREDICTION_K}
    series = {k: points for k, points in series.items() if len(points) > 1}
    if not series:
        return None
    weights = sorted({weight for points in series.values() for weight in points})
    controls = [one for one in collected.evaluated if any(one.has(role) for role in _REFERENCES)]
    figure = Figure(figsize=(PAGE, 5.2), layout="constrained")
    for axes, (name, shown) in zip(figure.subplots(2, 2).ravel(), _MEASURES.items(), strict=True):
        for (k, points), colour, marker, aside in zip(
            series.items(), (BLUE, RED), "os", (-0.13, 0.13), strict=False
        ):
            at = [weights.index(weight) + aside for weight in points]
            label = f"topk, k = {k}"
            members = list(points.values())
            _points(axes, at, members, name, colour=colour, marker=marker, label=label)
        for place, one in enumerate(controls, start=len(weights)):
            colour, _, marker = control_look(one)
            label = f"control: {one.name}, k = {one.health['k']}"
            _points(axes, [place], [one], name, colour=colour, marker=marker, label=label)
        if name == "ndcg@10":
            axes.axhline(0, color=INK, ls=":", lw=1.2)
        _places(axes, weights, controls)
        axes.set_ylabel(shown, fontsize=9.5)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return Plot(
        "F8",
        "F8_prediction_aware",
        "What the prediction-aware term buys",
        f"TopK, {GRID_LATENTS:,} latents, by the weight of the divergence of the recommender's "
        "softmax in the loss; 0 is training on the variance alone. Lower FVU is better, elsewhere "
        "higher is. Bars: 95 % intervals over users; that of NDCG@10 is of the difference user by "
        f"user, dotted: the base. All points are of the same users.{collected.note_on_origin}",
        figure,
    )


def _points(
    axes: Axes,
    at: list[float],
    members: list[Dictionary],
    name: str,
    *,
    colour: str,
    marker: str,
    label: str,
) -> None:
    rows = [_measured(one, name) for one in members]
    axes.errorbar(
        at,
        [mean for mean, _, _ in rows],
        yerr=[[mean - low for mean, low, _ in rows], [high - mean for mean, _, high in rows]],
        color=colour,
        marker=marker,
        ms=6,
        lw=1.2,
        capsize=2.5,
        # Not joined: three weights are no curve.
        ls="none",
        label=label,
    )


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


def _by_coefficient(collected: Collected, k: int) -> dict[float, Dictionary]:
    """Evaluated dictionaries of the grid with this ``k``, by the weight of the term, rising."""
    found: dict[float, Dictionary] = {}
    for one in collected.evaluated:
        config = one.autoencoder.spec["config"]
        if (one.has(Role.GRID_K) or one.has(Role.PREDICTION)) and config["k"] == k:
            found[config.get("prediction_coefficient", 0.0)] = one
    return dict(sorted(found.items()))
