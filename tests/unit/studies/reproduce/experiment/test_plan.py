"""What a report needs, and that nothing is asked for twice."""

from __future__ import annotations

import pytest

from reclens.errors import InvalidInput, InvalidSpec
from reclens.studies.reproduce.experiment.plan import (
    CLOSED_FORMS,
    CONTROLS,
    GRID_K,
    LABELLED_CONTROLS,
    PREDICTION_COEFFICIENTS,
    PREDICTION_K,
    VARIANT_K,
    VARIANT_KINDS,
    Role,
    make_plan,
)


@pytest.fixture(scope="module")
def plan():
    return make_plan("ml-100k", "sasrec")


def test_inputs_come_before_what_reads_them(plan) -> None:
    made: set[str] = set()
    for job in plan.jobs():
        assert set(job.spec.input_refs().values()) <= made, job.name
        assert job.ref not in made
        made.add(job.ref)


def test_the_main_chain_is_required_and_nothing_else(plan) -> None:
    assert [job.name.split(" of ")[0] for job in plan.jobs() if job.required] == [
        "data set",
        "recommender",
        "activations",
        "autoencoder",
        "autoencoder",
        "concepts",
        "evaluation",
    ]


def test_the_main_dictionary_is_compared_with_itself_under_another_seed(plan) -> None:
    (second,) = [one for one in plan.dictionaries if Role.SECOND_SEED in one.roles]
    assert second.config == plan.main.config.model_copy(update={"seed": 1})
    assert plan.main.evaluation is not None
    assert plan.main.evaluation.retrained == second.autoencoder.artifact_ref()


def test_the_prediction_aware_term_is_varied_alone(plan) -> None:
    found = [one for one in plan.dictionaries if Role.PREDICTION in one.roles]
    assert {(one.config.k, one.config.prediction_coefficient) for one in found} == {
        (k, coefficient) for k in PREDICTION_K for coefficient in PREDICTION_COEFFICIENTS
    }
    assert all(one.evaluation is not None for one in found)
    assert set(PREDICTION_K) <= set(GRID_K), "the same without the term is in the grid"


def test_one_dictionary_serves_every_reason(plan) -> None:
    assert plan.main.roles == (Role.MAIN, Role.GRID_K, Role.GRID_SIZE, Role.VARIANT)
    assert (plan.main.config.n_latents, plan.main.config.k) == (1024, 16)


def test_every_cell_of_the_grids_is_there(plan) -> None:
    configs = [one.config for one in plan.dictionaries]
    shapes = {(one.kind, one.n_latents, one.k) for one in configs}
    assert {("topk", 1024, k) for k in GRID_K} <= shapes
    assert {("topk", n_latents, 16) for n_latents in (512, 1024, 2048)} <= shapes
    assert {(kind, 1024, k) for kind in VARIANT_KINDS for k in VARIANT_K} <= shapes
    assert {("dimensions", 128, 16), ("pca", 128, 16)} <= shapes


def test_every_control_is_labelled_and_measured_like_the_main_one(plan) -> None:
    controls = [one for one in plan.dictionaries if set(one.roles) & set(LABELLED_CONTROLS)]
    assert len(controls) == len(LABELLED_CONTROLS)
    for one in controls:
        assert one.concepts is not None
        assert one.evaluation is not None
        assert plan.main.concepts is not None
        options = {"autoencoder": "", "dataset": ""}
        assert one.concepts.model_copy(update=options) == plan.main.concepts.model_copy(
            update=options
        )


def test_closed_form_dictionaries_are_there_at_every_k(plan) -> None:
    grid = [one for one in plan.dictionaries if Role.CLOSED_FORM in one.roles]
    assert {(one.config.kind, one.config.k) for one in grid} == {
        (kind, k) for kind in CLOSED_FORMS for k in GRID_K
    }
    # Those at the main one's k are the labelled controls; the others are only reported.
    labelled = [one.name for one in grid if one.concepts is not None]
    assert labelled == ["raw dimensions", "PCA"]
    assert {one.name for one in grid if one.concepts is None} == {
        f"{name}, k {k}" for name in ("raw dimensions", "PCA") for k in (4, 8, 32)
    }
    assert Role.CLOSED_FORM in CONTROLS


def test_the_main_dictionary_alone_keeps_its_controls_and_its_artifacts(plan) -> None:
    alone = make_plan("ml-100k", "sasrec", main_only=True)
    assert [one.name for one in alone.dictionaries] == [
        "topk 1,024/16",
        "topk 1,024/16, second seed",
        "untrained",
        "raw dimensions",
        "PCA",
    ]
    # A whole run later finds all of them.
    assert {job.ref for job in alone.jobs()} < {job.ref for job in plan.jobs()}


def test_the_untrained_control_has_the_main_shape() -> None:
    plan = make_plan("grocery", "sasrec")
    assert (plan.main.config.n_latents, plan.main.config.k) == (2048, 32)
    (untrained,) = [one for one in plan.dictionaries if Role.UNTRAINED in one.roles]
    assert untrained.config == plan.main.config.model_copy(update={"n_epochs": 0})


def test_models_without_order_are_split_at_random_on_ml_100k() -> None:
    assert make_plan("ml-100k", "bprmf").dataset.split.kind == "ratio"
    assert make_plan("ml-100k", "sasrec").dataset.split.kind == "leave-one-out"
    assert make_plan("grocery", "bprmf").dataset.split.kind == "leave-one-out"


def test_names_are_unique(plan) -> None:
    names = [job.name for job in plan.jobs()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("dataset", "model", "error"),
    [("ml-100k", "sasrek", InvalidInput), ("ml-100", "sasrec", InvalidSpec)],
)
def test_misspelt_names_are_refused(dataset: str, model: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        make_plan(dataset, model)
