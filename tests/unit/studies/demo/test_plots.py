"""The plots exist, are not blank, and say what they show."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import pytest
from matplotlib.figure import Figure

from reclens.studies.demo.plots import draw_plots
from reclens.studies.demo.report import Figures
from reclens.studies.demo.story import Story


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Figures by file name, caught when they are saved."""
    caught: dict[str, Figure] = {}
    save = Figure.savefig

    def keep(self: Figure, path: Path, **options: object) -> None:
        caught[path.name] = self
        save(self, path, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return caught


def _texts(figure: Figure) -> set[str]:
    return {text.get_text().strip() for axes in figure.axes for text in axes.texts}


def test_three_pictures_that_are_large_enough_and_not_blank(
    figures: Figures, story: Story, tmp_path: Path
):
    paths = draw_plots(figures, story, tmp_path)
    assert [path.name for path in paths] == [
        "reconstruction.png",
        "concept_confidence.png",
        "steering.png",
    ]
    for path in paths:
        pixels = matplotlib.image.imread(path)
        assert pixels.shape[0] >= 400
        assert pixels.shape[1] >= 900
        assert pixels[..., :3].std() > 0.05


def test_reconstruction_shows_the_control_on_a_scale_from_zero(
    figures: Figures, story: Story, tmp_path: Path, drawn: dict[str, Figure]
):
    draw_plots(figures, story, tmp_path)
    curve, bars = drawn["reconstruction.png"].axes
    assert [line.get_ydata()[0] for line in curve.lines][1:] == [0.0625, 1]
    assert list(curve.lines[0].get_ydata()) == [1.5, 0.3, 0.07]
    assert [bar.get_width() for bar in bars.patches] == [0.0625, 1.0, 1.5]
    assert bars.get_xlim()[0] == 0
    assert bars.get_xscale() == "linear"


def test_confidence_counts_every_judged_label_beside_chance_and_control(
    figures: Figures, story: Story, tmp_path: Path, drawn: dict[str, Figure]
):
    draw_plots(figures, story, tmp_path)
    (axes,) = drawn["concept_confidence.png"].axes
    assert sum(bar.get_height() for bar in axes.patches) == len(figures.confidences)
    assert [line.get_xdata()[0] for line in axes.lines] == [0.5, 0.5, 0.6]
    low, high = axes.get_xlim()
    assert low <= min(figures.confidences)
    assert high == 1


def test_steering_names_every_item_on_its_side_and_where_newcomers_came_from(
    figures: Figures, story: Story, tmp_path: Path, drawn: dict[str, Figure]
):
    draw_plots(figures, story, tmp_path)
    figure = drawn["steering.png"]
    texts = _texts(figure)
    assert {"Heat  1", "Speed  2", "True Lies  3"} <= texts
    assert {"1  True Lies", "2  Airplane|Zero Hour  (was 40)", "3  Heat"} <= texts
    assert "more Comedy 1 → 2, less Action 3 → 2" in figure.get_suptitle()
    # Four lines: two items stay, one leaves, one comes. The legend's are empty.
    assert len([line for line in figure.axes[0].lines if len(line.get_xdata())]) == 4
