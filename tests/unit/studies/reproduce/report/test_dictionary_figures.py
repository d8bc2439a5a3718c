"""F4, F7 and F8: data of artists, words, limits. Nothing is compared pixel by pixel."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drawn import (
    control_of,
    drawn_results,
    errorbars,
    legend_texts,
    reach,
    with_config,
    with_metrics,
)
from matplotlib.container import ErrorbarContainer

from reclens.studies.reproduce.experiment.plan import Role
from reclens.studies.reproduce.experiment.results import StudyResults
from reclens.studies.reproduce.report.dictionary_figures import (
    pareto,
    pareto_series,
    prediction_aware,
    quality,
)
from reclens.studies.reproduce.report.writing import all_plots
from reclens.studies.style import BLUE, INK


@pytest.fixture
def results() -> StudyResults:
    return drawn_results()


# --- F4 ------------------------------------------------------------------------------------------


def test_quality_is_the_difference_to_the_base_user_by_user(results: StudyResults) -> None:
    bars = errorbars(quality(results).figure)
    assert list(bars) == ["topk 10/2 (main)", "control: untrained"]
    (ends,) = reach(bars["topk 10/2 (main)"])
    assert ends.tolist() == [pytest.approx([-0.012, 5]), pytest.approx([0.008, 5])]


def test_a_control_without_any_label_is_drawn_whole(results: StudyResults) -> None:
    main, untrained, _ = results.dictionaries
    nameless = control_of(untrained, Role.PCA, "PCA")
    nameless = replace(nameless, concepts=with_metrics(nameless.concepts, distinct=0))
    figure = quality(replace(results, dictionaries=(main, nameless))).figure
    assert figure.axes[0].get_ylim()[0] < 0
    # Names are in a legend below the axes, none can cover a point or a tick.
    assert not figure.axes[0].texts
    assert "control: PCA" in legend_texts(figure)


def test_the_main_dictionary_differs_from_the_others_of_its_kind(results: StudyResults) -> None:
    main = results.main
    other = replace(main, roles=(Role.GRID_K,), name="topk 10/4")
    bars = errorbars(quality(replace(results, dictionaries=(main, other))).figure)
    own, theirs = bars["topk 10/2 (main)"][0], bars["topk 10/4"][0]
    assert own is not None
    assert theirs is not None
    assert own.get_markersize() > theirs.get_markersize()
    assert (own.get_markerfacecolor(), theirs.get_markerfacecolor()) == (BLUE, "white")
    assert own.get_marker() != theirs.get_marker()


# --- F7 ------------------------------------------------------------------------------------------


@pytest.fixture
def shapes(results: StudyResults) -> StudyResults:
    """A main dictionary that is in no grid, one that is, and closed forms at two k."""
    main, untrained, _ = results.dictionaries
    plain = control_of(untrained, Role.CLOSED_FORM, "PCA, k 4")
    return replace(
        results,
        dictionaries=(
            with_config(
                replace(main, roles=(Role.MAIN,)),
                kind="topk", n_latents=2048, k=32, l0=32.0, fvu=0.02,
            ),
            with_config(
                replace(main, roles=(Role.GRID_K,)),
                kind="topk", n_latents=1024, k=8, l0=8.0, fvu=0.1,
            ),
            untrained,
            with_config(
                control_of(untrained, Role.PCA, "PCA"),
                kind="pca", n_latents=128, k=32, l0=31.9, fvu=0.01,
            ),
            with_config(plain, kind="pca", n_latents=128, k=4, l0=4.0, fvu=0.3),
        ),
    )  # fmt: skip


def test_the_main_dictionary_is_drawn_where_no_grid_has_its_shape(shapes: StudyResults) -> None:
    found = {one.label: one for one in pareto_series(shapes)}
    assert found["topk, 2,048 latents, k 32"].members == [shapes.main]
    left = pareto(shapes).figure.axes[0]
    (ring,) = [line for line in left.lines if line.get_label() == "main dictionary"]
    assert (ring.get_xdata(), ring.get_ydata()) == ((32.0,), (0.02,))
    assert ring.get_color() == INK


def test_the_main_dictionary_is_not_drawn_twice(results: StudyResults) -> None:
    # Here it is part of the grid over k.
    assert [one.label for one in pareto_series(results)] == ["topk, 10 latents"]


def test_closed_forms_are_curves_over_k(shapes: StudyResults) -> None:
    (line,) = [
        line for line in pareto(shapes).figure.axes[0].lines if "PCA" in str(line.get_label())
    ]
    assert list(line.get_xdata()) == [4.0, 31.9]
    assert list(line.get_ydata()) == [0.3, 0.01]
    assert line.get_linestyle() == ":"


def test_no_marker_hides_another(shapes: StudyResults) -> None:
    left, right = pareto(shapes).figure.axes
    curves = [line for line in left.lines if "latents" in str(line.get_label())]
    assert {line.get_markerfacecolor() for line in curves} == {"none"}
    # Of one k, every dictionary has a column of its own.
    at = [x for line in right.lines if line.get_markersize() < 10 for x in line.get_xdata()]
    marked = [x for x in at if x not in (0.5, 1.5)]
    assert len({round(float(x), 6) for x in marked}) == len(marked)


def test_a_dictionary_far_from_its_k_is_explained(shapes: StudyResults) -> None:
    assert "Where a threshold decides" not in pareto(shapes).note
    main = with_config(shapes.main, kind="batchtopk", n_latents=2048, k=2, l0=3.5, fvu=0.5)
    wide = replace(shapes, dictionaries=(main, *shapes.dictionaries[1:]))
    assert "(L0 up to 3.5 at k 2)" in pareto(wide).note


# --- F8 ------------------------------------------------------------------------------------------


@pytest.fixture
def weighted(results: StudyResults) -> StudyResults:
    main, untrained, aware = results.dictionaries
    return replace(
        results,
        dictionaries=(main, aware, control_of(untrained, Role.PCA, "PCA"), untrained),
    )


def test_agreement_has_intervals_and_controls_beside_it(weighted: StudyResults) -> None:
    plot = prediction_aware(weighted)
    assert plot is not None
    names = [axes.get_ylabel() for axes in plot.figure.axes]
    bars = errorbars(plot.figure, names.index("NDCG@10 less the base's"))
    assert list(bars) == ["topk, k = 16", "control: PCA, k = 2"]
    weight_0, weight_1 = reach(bars["topk, k = 16"])
    assert weight_0[:, 1].tolist() == pytest.approx([-0.012, 0.008])
    assert weight_1[0, 0] - weight_0[0, 0] == pytest.approx(1)
    overlap = errorbars(plot.figure, names.index("overlap@10 with the base"))
    assert reach(overlap["topk, k = 16"])[0][:, 1].tolist() == pytest.approx([0.88, 0.92])


def test_points_of_the_three_weights_are_not_joined(weighted: StudyResults) -> None:
    plot = prediction_aware(weighted)
    assert plot is not None
    for axes in plot.figure.axes:
        assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "PCA"]
        for bar in axes.containers:
            assert isinstance(bar, ErrorbarContainer)
            assert bar[0] is not None
            assert bar[0].get_linestyle() == "None"


def test_without_the_term_there_is_no_figure(results: StudyResults) -> None:
    alone = replace(results, dictionaries=results.dictionaries[:2])
    assert prediction_aware(alone) is None
    assert "F8" not in {plot.key for plot in all_plots(alone)}
