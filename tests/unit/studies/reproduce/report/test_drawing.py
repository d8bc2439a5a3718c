"""What holds of all figures."""

from __future__ import annotations

import pytest
from drawn import drawn_results
from matplotlib.colors import to_hex
from matplotlib.text import Text

from reclens.studies.reproduce.experiment.results import StudyResults
from reclens.studies.reproduce.report.writing import all_plots
from reclens.studies.style import INK


@pytest.fixture
def results() -> StudyResults:
    return drawn_results()


def test_all_text_is_dark(results: StudyResults) -> None:
    for plot in all_plots(results):
        texts = [one for one in plot.figure.findobj(Text) if isinstance(one, Text)]
        assert texts
        for text in texts:
            assert to_hex(text.get_color()) == INK, (plot.key, text.get_text())


def test_every_axis_has_a_name(results: StudyResults) -> None:
    for plot in all_plots(results):
        for axes in plot.figure.axes:
            if not axes.axison:
                continue
            assert axes.get_xlabel() or plot.figure.get_supxlabel(), plot.key
        assert plot.figure.axes[0].get_ylabel() or plot.figure.get_supylabel(), plot.key
