"""All figures of a report, in order. Concepts and dictionaries have a module each."""

from __future__ import annotations

import matplotlib as mpl

from reclens.reproduce.collecting import Collected
from reclens.reproduce.concept_figures import confidence, examples, levels
from reclens.reproduce.dictionary_figures import pareto, quality
from reclens.reproduce.plot import STYLE, Plot
from reclens.reproduce.prediction_figure import prediction_aware


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
