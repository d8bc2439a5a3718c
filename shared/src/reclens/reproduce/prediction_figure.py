"""Figure F8: what the prediction-aware term buys, and what it costs."""

from __future__ import annotations

from matplotlib.figure import Figure

from reclens.reproduce.collecting import Collected, Dictionary
from reclens.reproduce.plan import GRID_LATENTS, PREDICTION_K, Role
from reclens.reproduce.plot import BLUE, INK, ORANGE, Plot

_MEASURES = {
    "ndcg@10": "NDCG@10 kept, share of the base's",
    "overlap@10": "overlap@10 with the base's list",
    "kendall": "Kendall's τ with the base's ranking",
}


def prediction_aware(collected: Collected) -> Plot | None:
    """F8: agreement with the recommender's own ranking against variance unexplained."""
    series = {k: _by_coefficient(collected, k) for k in PREDICTION_K}
    series = {k: points for k, points in series.items() if len(points) > 1}
    if not series:
        return None
    figure = Figure(figsize=(10.2, 3.6), layout="constrained")
    panels = figure.subplots(1, len(_MEASURES))
    base = collected.main.fidelity()["variants"]["base"]
    for axes, (name, shown) in zip(panels, _MEASURES.items(), strict=True):
        for (k, points), colour, marker in zip(series.items(), (BLUE, ORANGE), "os", strict=False):
            x = [one.health["fvu"] for one in points.values()]
            y = [
                one.fidelity()["variants"]["reconstruction"][name]
                / (base[name] if name == "ndcg@10" else 1)
                for one in points.values()
            ]
            axes.plot(x, y, color=colour, marker=marker, ms=6, lw=1.4, label=f"k = {k}")
            for coefficient, left, up in zip(points, x, y, strict=True):
                axes.annotate(
                    f"{coefficient:g}",
                    (left, up),
                    xytext=(5, 4) if coefficient else (5, -12),
                    textcoords="offset points",
                    fontsize=8.5,
                    color=INK,
                )
        axes.set_xlabel("FVU on held-out users")
        axes.set_ylabel(shown)
        axes.grid(True, color="#e5e5e5", lw=0.8)
        axes.margins(0.12)
    panels[0].legend()
    return Plot(
        "F8",
        "F8_prediction_aware",
        "What the prediction-aware term buys",
        f"TopK, {GRID_LATENTS:,} latents. The number at a point is the weight of the divergence of "
        "the recommender's softmax in the loss; 0 is training on the variance alone. Higher is "
        "better, further left is better.",
        figure,
    )


def _by_coefficient(collected: Collected, k: int) -> dict[float, Dictionary]:
    """Evaluated dictionaries of the grid with this ``k``, by the weight of the term, rising."""
    found: dict[float, Dictionary] = {}
    for one in collected.evaluated:
        config = one.autoencoder.spec["config"]
        if (one.has(Role.GRID_K) or one.has(Role.PREDICTION)) and config["k"] == k:
            found[config.get("prediction_coefficient", 0.0)] = one
    return dict(sorted(found.items()))
