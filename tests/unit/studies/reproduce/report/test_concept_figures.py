"""F2, F3 and F5: data of artists, words, limits. Nothing is compared pixel by pixel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from drawn import (
    control_of,
    drawn_results,
    example,
    hits_by_level,
    legend_texts,
    with_main,
    with_metrics,
)
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer

from reclens.contracts.tables import EXAMPLES, LEVELS
from reclens.studies.reproduce.experiment.plan import Role
from reclens.studies.reproduce.experiment.results import StudyResults
from reclens.studies.reproduce.report.concept_figures import (
    MAX_ONE_ITEM,
    chosen_examples,
    confidence,
    examples,
    level_curves,
    levels,
)
from reclens.studies.style import BLUE, GREY, ORANGE, SKY


@pytest.fixture
def results() -> StudyResults:
    return drawn_results()


@pytest.fixture
def judged(results: StudyResults) -> StudyResults:
    """The main dictionary with 30 judged labels, one control with 25 and one with a single one."""

    def labels(values: list[float | None]) -> pa.Table:
        return pa.table({"confidence": pa.array(values, pa.float64())})

    main, untrained, _ = results.dictionaries
    return replace(
        results,
        dictionaries=(
            replace(main, labels=labels([0.6] * 15 + [0.8] * 15 + [None])),
            replace(untrained, labels=labels([0.55] * 25)),
            replace(control_of(untrained, Role.PCA, "PCA"), labels=labels([0.9, None])),
        ),
    )


# --- F2 ------------------------------------------------------------------------------------------


def test_a_control_with_one_judged_label_is_named_and_not_drawn(judged: StudyResults) -> None:
    figure = confidence(judged).figure
    assert legend_texts(figure) == [
        "topk 10/2 (main): 30 judged of 10 alive, median 0.70",
        "control, untrained: 25 judged of 10 alive, median 0.55",
        "control, PCA: 1 judged of 10 alive: not drawn",
        "control, own labels shuffled among latents: median 0.50",
    ]
    colours = {to_hex(patch.get_edgecolor()) for patch in figure.axes[0].patches}
    assert SKY not in colours
    assert GREY in colours


def test_no_label_lies_outside_of_the_axis(judged: StudyResults) -> None:
    main = judged.main
    low = replace(main, labels=pa.table({"confidence": [0.17, *[0.9] * 29]}))
    figure = confidence(replace(judged, dictionaries=(low,))).figure
    assert figure.axes[0].get_xlim() == pytest.approx((0.1, 1.0))
    # All bars together are all judged latents.
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == pytest.approx(100)  # type: ignore[attr-defined]


# --- F3 ------------------------------------------------------------------------------------------


def with_examples(results: StudyResults, *shown: Any) -> StudyResults:
    evaluation = with_metrics(results.main.evaluation, examples=list(shown))
    rows = [row for one in shown for row in [one["latent"]] * 6]
    table = pa.table(
        {
            "latent": pa.array(rows, pa.int32()),
            "activation": pa.array([0.0, 1.0, 2.0, 0.0, 0.0, 0.5] * len(shown), pa.float32()),
            "with_concept": [True, True, True, False, False, False] * len(shown),
        }
    )
    changed = with_main(results, evaluation=evaluation)
    return replace(changed, tables={**results.tables, EXAMPLES.file: table})


def test_shared_traits_come_before_single_items_and_confidence_orders_both(
    results: StudyResults,
) -> None:
    found = chosen_examples(
        with_examples(
            results,
            example(0, "One item: A", 0.99, (0.9, 0.0)),
            example(1, "One item: B", 0.98, (0.9, 0.0)),
            example(2, "One item: C", 0.97, (0.9, 0.0)),
            example(3, "Horror", 0.8, (0.4, 0.1)),
            example(4, "Comedy", 0.9, (0.4, 0.1)),
        )
    )
    assert [one["label"] for one in found] == ["Comedy", "Horror", "One item: A", "One item: B"]
    assert MAX_ONE_ITEM == 2


def test_a_name_that_people_gave_is_never_one_of_an_item(results: StudyResults) -> None:
    labels = results.main.labels
    assert labels is not None
    people = pa.array(["human", "llm", *labels["source"].to_pylist()[2:]])
    column = labels.column_names.index("source")
    results = with_main(results, labels=labels.set_column(column, "source", people))
    shown = (example(j, f"One item: {j}", 0.9 - j / 10, (0.9, 0.0)) for j in range(5))
    found = chosen_examples(with_examples(results, *shown))
    assert [one["latent"] for one in found] == [0, 1, 2, 3], "two by an item, as ever"


def test_a_latent_that_fires_less_with_its_concept_is_no_example(results: StudyResults) -> None:
    found = chosen_examples(
        with_examples(
            results,
            example(0, "Comedy Horror", 0.99, (0.0, 0.01)),
            example(1, "Never on top", 0.98, (None, 0.01)),
            example(2, "Drama", 0.7, (0.3, 0.2)),
        )
    )
    assert [one["label"] for one in found] == ["Drama"]
    only_bad = with_examples(results, example(0, "Comedy Horror", 0.99, (0.0, 0.01)))
    assert examples(only_bad) is None


def test_a_panel_tells_its_cases_and_has_activations_in_shares_of_p99(
    results: StudyResults,
) -> None:
    plot = examples(with_examples(results, example(3, "Film-Noir", 0.9, (2 / 3, 1 / 3))))
    assert plot is not None
    (axes,) = plot.figure.axes
    assert axes.get_title(loc="left") == (
        "Film-Noir (latent 3)\nfires in 66.7% of 3 with it,\nin 33.3% of 3 without"
    )
    p99 = np.percentile([1.0, 2.0, 0.5], 99)
    outline = [one for one in axes.patches if to_hex(one.get_edgecolor()) == ORANGE]
    assert max(one.get_path().vertices[:, 0].max() for one in outline) == pytest.approx(2 / p99)
    # Orange is drawn after, so over, blue.
    filled = [to_hex(one.get_facecolor()) for one in axes.patches if one.get_facecolor()[3] > 0]
    assert filled.index(ORANGE) > max(i for i, one in enumerate(filled) if one == BLUE)
    assert "99th percentile" in plot.figure.get_supxlabel()
    assert "scales differ" in plot.figure.get_supylabel()


def test_data_without_titles_are_said_to_have_none(results: StudyResults) -> None:
    def note(label: str) -> str:
        plot = examples(with_examples(results, example(3, label, 0.9, (0.9, 0.0))))
        assert plot is not None
        return plot.note

    # The evidence of latent 3 is the item with the id 181.
    assert "no titles" in note("One item: 181")
    assert "no titles" not in note("One item: Return of the Jedi")


# --- F5 ------------------------------------------------------------------------------------------


def test_intervals_are_over_labels_and_means_over_latents(results: StudyResults) -> None:
    curves = level_curves(results, least_p=0.0)
    assert curves is not None
    assert (curves.latents, curves.labels) == (4, 3)
    assert curves.own[:, 0] == pytest.approx(hits_by_level().mean(axis=0) / 10)
    # At level 3 the latents hit 0, .3, .6, .9; with labels alike in the first two, a resample of
    # three labels may hold the third alone.
    assert curves.own[3, 1] <= 0.15 + 1e-9
    assert curves.own[3, 2] == pytest.approx(0.9)
    again = level_curves(results, least_p=0.0)
    assert again is not None
    assert np.array_equal(curves.own, again.own), "seeded"


def test_latents_of_one_label_count_as_one(results: StudyResults) -> None:
    labels = results.main.labels
    assert labels is not None
    at = labels.column_names.index("label")
    same = labels.set_column(at, "label", pa.array(["Drama"] * 5))
    curves = level_curves(with_main(results, labels=same), least_p=0.0)
    assert curves is not None
    assert curves.labels == 1
    # With one label there is one resample: its own mean.
    assert curves.own[:, 1] == pytest.approx(curves.own[:, 0])


def test_only_the_interpretable_are_in_their_panel(results: StudyResults) -> None:
    # P is .9, .8, .7 and unknown.
    curves = level_curves(results, least_p=0.8)
    assert curves is not None
    assert (curves.latents, curves.labels) == (2, 1)
    assert level_curves(results, least_p=0.95) is None


def test_without_counts_there_is_no_figure(results: StudyResults) -> None:
    assert levels(replace(results, tables={})) is None


def test_markers_of_silent_cases_stand_side_by_side(results: StudyResults) -> None:
    plot = levels(results)
    assert plot is not None
    assert len(plot.figure.axes) == 2
    for axes in plot.figure.axes:
        silent = [
            one[0].get_xdata()[0]  # type: ignore[union-attr]
            for one in axes.containers
            if isinstance(one, ErrorbarContainer)
        ]
        assert silent == [-0.25, 0.25]
        assert axes.get_ylim()[0] == 0
    assert plot.figure.axes[1].get_title(loc="left") == "all labelled: 4 latents, 3 labels"


def test_a_level_that_no_latent_reaches_has_no_value(results: StudyResults) -> None:
    table = results.tables[LEVELS.file]
    level = table["level"].to_numpy()
    at = table.column_names.index("cases")
    cases = np.where(level == 10, 0, 10)
    emptied = table.set_column(at, "cases", pa.array(cases, pa.int64()))
    curves = level_curves(replace(results, tables={LEVELS.file: emptied}), least_p=0.0)
    assert curves is not None
    assert np.isnan(curves.own[10]).all()
    assert np.isfinite(curves.own[:10]).all()
