"""Three pictures: does the dictionary explain, can the labels be trusted, what does steering do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reclens.studies.demo.report import Figures
from reclens.studies.demo.story import STRENGTH, Story, carrying
from reclens.studies.style import BLUE, GREEN, INK, RED, STYLE
from reclens.studies.templates import shortened

# What is turned up, turned down, both or neither.
_UP, _DOWN, _BOTH, _OTHER = RED, BLUE, GREEN, "#9a9a9a"
_GAP_RANK = 11.6


def draw_plots(figures: Figures, story: Story, folder: Path) -> list[Path]:
    """Write ``reconstruction.png``, ``concept_confidence.png`` and ``steering.png``."""
    with mpl.rc_context({**STYLE, "savefig.dpi": 130}):
        plots = {
            "reconstruction.png": _reconstruction(figures.metrics("autoencoder")),
            "concept_confidence.png": _confidence(figures.confidences, figures.metrics("concepts")),
            "steering.png": _steering(story),
        }
        for name, figure in plots.items():
            figure.savefig(folder / name)
    return [folder / name for name in plots]


def _reconstruction(metrics: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    steps, _losses, fvus = zip(*metrics["curve"], strict=True)
    left.plot(steps, fvus, color=_DOWN, lw=2, label="while training (train users)")
    left.axhline(metrics["fvu"], color=_UP, ls="--", lw=1.5, label="after it, on held-out users")
    left.axhline(1, color=_OTHER, ls=":", lw=1.5, label="always answering with the mean")
    left.set_yscale("log")
    left.set_xlabel("training step")
    left.set_ylabel("variance unexplained (FVU), log scale")
    left.legend()
    left.set_title("The dictionary learns to explain", loc="left")

    bars = {
        "this dictionary": (metrics["fvu"], _UP),
        "the mean": (1.0, _OTHER),
        "an untrained\ndictionary": (metrics["random_fvu"], _OTHER),
    }
    values = [value for value, _ in bars.values()]
    drawn = right.barh(list(bars), values, color=[colour for _, colour in bars.values()])
    right.bar_label(drawn, labels=[f"{value:.3g}" for value in values], padding=4)
    right.set_xlim(0, 1.18 * max(values))
    right.invert_yaxis()
    right.set_xlabel("FVU on held-out users, linear scale")
    right.set_title("... and does so for new users", loc="left")
    return figure


def _confidence(confidences: list[float], metrics: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    edges = [step / 40 for step in range(41)]
    axes.hist(confidences, bins=edges, color=_DOWN, alpha=0.85, edgecolor="white", lw=0.5)
    shuffled = metrics["shuffled_balanced_accuracy_median"]
    median = metrics["balanced_accuracy_median"]
    for value, colour, style, label in (
        (0.5, INK, ":", "chance: 0.50"),
        (shuffled, _OTHER, "-", f"median with labels shuffled among latents: {shuffled:.2f}"),
        (median, _UP, "--", f"median: {median:.2f}"),
    ):
        # Chance over the control, which is often the same.
        order = 3 if style == ":" else 2
        axes.axvline(value, color=colour, ls=style, lw=2, label=label, zorder=order)
    low = min([0.3, *confidences])
    axes.set_xlim(max(0.0, low - 0.02), 1)
    axes.set_xlabel(
        "confidence of a label: balanced accuracy of predicting, from the label alone,\n"
        "whether the latent fires on users that no label was made from"
    )
    axes.set_ylabel("latents")
    # Beside the axes, where no line can run through it.
    figure.legend(loc="outside lower center", ncols=3)
    axes.set_title(
        f"{metrics['labelled']:,} of {metrics['alive']:,} firing latents have a label, "
        f"{len(confidences):,} could be judged, {metrics['trusted']:,} are trusted",
        loc="left",
    )
    return figure


def _steering(story: Story) -> Figure:
    figure = Figure(figsize=(10, 6.2), layout="constrained")
    axes = figure.subplots()
    answer, up, down = story.answer, story.choice.more_of, story.choice.less_of
    after = {item.item_id: item.rank for item in answer.items}
    before = {item.item_id: item.rank for item in answer.baseline}
    for item in answer.baseline:
        colour = _colour(item, up.label, down.label)
        _name(axes, 0, item.rank, f"{_short(item)}  {item.rank}", colour)
        _line(axes, item.rank, after.get(item.item_id), colour)
    for item in answer.items:
        colour = _colour(item, up.label, down.label)
        came = "" if item.item_id in before else f"  (was {item.baseline_rank})"
        _name(axes, 1, item.rank, f"{item.rank}  {_short(item)}{came}", colour)
        if item.item_id not in before:
            _line(axes, None, item.rank, colour)
    axes.text(0, _GAP_RANK + 0.15, "further down  ", ha="right", va="center", color=_OTHER)
    axes.text(1, _GAP_RANK + 0.15, "  further down", ha="left", va="center", color=_OTHER)
    axes.text(0, 0.1, "untouched", ha="right", va="center", weight="bold")
    axes.text(1, 0.1, "steered", ha="left", va="center", weight="bold")
    axes.set_xlim(-0.95, 2.05)
    axes.set_ylim(_GAP_RANK + 0.6, -0.3)
    axes.axis("off")
    for colour, label in (
        (_UP, f"{up.label} (more, +{STRENGTH})"),
        (_DOWN, f"{down.label} (less, -{STRENGTH})"),
        (_BOTH, "both"),
        (_OTHER, "neither"),
    ):
        axes.plot([], [], color=colour, lw=3, label=label)
    figure.legend(loc="outside lower center", ncols=4)
    figure.suptitle(
        f"Top {len(answer.items)} for user {story.choice.user_id}, before and after: "
        f"more {up.label} {_count(up, answer.baseline)} → {_count(up, answer.items)}, "
        f"less {down.label} {_count(down, answer.baseline)} → {_count(down, answer.items)}"
    )
    return figure


def _count(concept: Any, items: Any) -> int:
    return carrying(concept, [list(item.tags) for item in items])


def _colour(item: Any, up: str, down: str) -> str:
    has_up, has_down = up in item.tags, down in item.tags
    if has_up and has_down:
        return _BOTH
    return _UP if has_up else _DOWN if has_down else _OTHER


def _name(axes: Axes, side: int, rank: float, text: str, colour: str) -> None:
    edge = "right" if side == 0 else "left"
    padded = f"{text} " if side == 0 else f" {text}"
    ink = colour if colour != _OTHER else "#555555"
    axes.text(side, rank, padded, ha=edge, va="center", color=ink)


def _line(axes: Axes, left: float | None, right: float | None, colour: str) -> None:
    """From rank to rank; None: a rank that is not shown."""
    style: dict[str, Any] = {"lw": 2.2, "alpha": 0.9}
    if left is None or right is None:
        style = {"lw": 1.2, "alpha": 0.55, "ls": "--"}
    ends = [left or _GAP_RANK, right or _GAP_RANK]
    axes.plot([0, 1], ends, color=colour, solid_capstyle="round", **style)


def _short(item: Any) -> str:
    return shortened(item.title or item.item_id, 38)
