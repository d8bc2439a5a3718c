"""All figures of a report, in order. Concepts and dictionaries have a module each."""

from __future__ import annotations

import matplotlib as mpl

from reclens.studies.reproduce.experiment.results import Collected
from reclens.studies.reproduce.report.concept_figures import confidence, examples, levels
from reclens.studies.reproduce.report.dictionary_figures import pareto, quality
from reclens.studies.reproduce.report.plot import STYLE, Plot
from reclens.studies.reproduce.report.prediction_figure import prediction_aware


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
