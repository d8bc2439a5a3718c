"""Sentences that must turn when the figures turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from reproduction import dictionary

from reclens.studies.reproduce.experiment.plan import Role
from reclens.studies.reproduce.experiment.results import Dictionary, StudyResults
from reclens.studies.reproduce.report.findings import what_it_shows


def sentence(results: StudyResults, words: str) -> str:
    (found,) = [one for one in what_it_shows(results) if words in one]
    return found


def pca(paper_p: float, *, fvu: float, overlap: float) -> Dictionary:
    return dictionary(
        9,
        (Role.PCA,),
        "PCA",
        paper_p=[paper_p] * 4,
        auroc=0.5,
        kind="pca",
        fvu=fvu,
        overlap=overlap,
    )


def with_evaluation(results: StudyResults, **metrics: Any) -> StudyResults:
    main, *others = results.dictionaries
    assert main.evaluation is not None
    evaluation = main.evaluation.model_copy(
        update={"metrics": {**main.evaluation.metrics, **metrics}}
    )
    return replace(results, dictionaries=(replace(main, evaluation=evaluation), *others))


def test_a_linear_control_is_told_as_it_is(results: StudyResults) -> None:
    better = replace(
        results, dictionaries=(*results.dictionaries, pca(0.5, fvu=0.01, overlap=0.95))
    )
    told = what_it_shows(better)[0]
    assert told.startswith("PCA at the same L0 (16.0) explains more of the variance")
    assert "FVU 0.0100 against 0.0500" in told
    assert "keeps more of the base's top 10" in told
    assert "difference +0.050 [+0.050 to +0.050]" in told
    assert "about as much of NDCG@10" in told
    assert "is named worse (P ≥ 0.8 for 0.0% of what fires, against 30.0%" in told
    worse = replace(results, dictionaries=(*results.dictionaries, pca(0.9, fvu=0.2, overlap=0.5)))
    told = what_it_shows(worse)[0]
    assert "explains less" in told
    assert "keeps less of the base's top 10" in told
    assert "is named better" in told


def test_another_sparsity_is_said(results: StudyResults) -> None:
    dense = pca(0.5, fvu=0.01, overlap=0.95)
    manifest = dense.autoencoder.model_copy(update={"metrics": {**dense.health, "l0": 32.0}})
    beside = replace(
        results, dictionaries=(*results.dictionaries, replace(dense, autoencoder=manifest))
    )
    assert what_it_shows(beside)[0].startswith("PCA at L0 32.0 (the main dictionary: 16.0)")


@pytest.mark.parametrize(
    ("again", "chance", "words"),
    [
        (0.8, 0.1, "finds most of its directions again"),
        (0.2, 0.1, "finds some of its directions again"),
        (0.02, 0.0, "finds next to none of its directions again"),
        (0.1, 0.1, "finds no more of its directions again than chance would"),
    ],
)
def test_stability_is_held_against_chance(
    results: StudyResults, again: float, chance: float, words: str
) -> None:
    def found(share: float) -> dict[str, Any]:
        return {
            "mean_max_cosine": 0.5,
            "mean_matched_cosine": 0.5,
            "matched_share": {"0.7": share, "0.9": 0.0},
        }

    measured = {"retrained": found(again), "alike": found(chance), "random": found(0.0)}
    assert words in sentence(with_evaluation(results, stability=measured), "another seed")


def test_latents_that_tell_less_than_coordinates(results: StudyResults) -> None:
    assert "Single latents tell less of the tag" in sentence(results, "Single latents")
    auroc = {
        "latents": {"1": 0.7, "2": 0.6, "5": 0.8},
        "dimensions": {"1": 0.65, "2": 0.7, "5": 0.75},
        "full": 0.9,
    }
    mixed = with_evaluation(results, probing={"usable": 3, "tags": 3, "auroc": auroc})
    assert "tell sometimes more of the tag" in sentence(mixed, "Single latents")


def test_the_prediction_aware_term_beside_the_same_without(results: StudyResults) -> None:
    told = sentence(results, "prediction-aware term")
    assert "(k 16, weight 1): no change beyond the interval in NDCG@10 (+0.0000" in told
    main, control, aware = results.dictionaries
    raised = dictionary(
        6,
        (Role.PREDICTION,),
        "prediction-aware",
        paper_p=[0.9, 0.8, 0.7, None],
        auroc=0.8,
        prediction_coefficient=1.0,
        overlap=0.93,
        fvu=0.06,
    )
    told = sentence(replace(results, dictionaries=(main, control, raised)), "prediction-aware term")
    assert "raises overlap@10 (+0.0300" in told
    assert "FVU 0.0500 without it, 0.0600 with it" in told
    assert aware.name == raised.name


def sized(n_latents: int, fvu: float) -> Dictionary:
    one = dictionary(
        n_latents, (Role.GRID_SIZE,), str(n_latents), paper_p=[0.5] * 4, auroc=0.5, fvu=fvu
    )
    manifest = one.autoencoder.model_copy(
        update={"metrics": {**one.health, "n_latents": n_latents}}
    )
    return replace(one, autoencoder=manifest, evaluation=None)


def test_a_larger_dictionary_that_is_worse(results: StudyResults) -> None:
    worse = (sized(512, 0.04), sized(1024, 0.05), sized(2048, 0.03))
    told = sentence(
        replace(results, dictionaries=(*results.dictionaries, *worse)), "larger dictionary"
    )
    assert "not always better: 1,024 latents leave more unexplained than 512 (512 latents" in told
    better = (sized(512, 0.05), sized(1024, 0.04))
    told = sentence(
        replace(results, dictionaries=(*results.dictionaries, *better)), "larger dictionary"
    )
    assert told.startswith("A larger dictionary explains more")


def test_dead_latents_are_said(results: StudyResults) -> None:
    assert "At no k are more than 10% of 1,000 latents dead." in what_it_shows(results)
    main, *others = results.dictionaries
    dying = main.autoencoder.model_copy(update={"metrics": {**main.health, "dead_fraction": 0.68}})
    dead = replace(results, dictionaries=(replace(main, autoencoder=dying), *others))
    assert "68.0% at k 2" in sentence(dead, "never fire")


def test_why_there_are_few_labels(results: StudyResults) -> None:
    assert not [one for one in what_it_shows(results) if "Few latents" in one]
    main, *others = results.dictionaries
    assert main.concepts is not None
    concepts = main.concepts.model_copy(
        update={"metrics": {**main.concepts.metrics, "labelled": 60}}
    )
    few = replace(results, dictionaries=(replace(main, concepts=concepts), *others))
    nameless = with_evaluation(few, described={"items": 50, "titled": 0, "tagged": 2})
    told = sentence(nameless, "Few latents")
    assert "60 of 1,000 that fire" in told
    assert "0 have a title and 2 a tag" in told


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ([0.4, 0.3, 0.5], "do better"),
        ([0.2, 0.1, 0.3], "do as well"),
        ([0.05, 0.0, 0.1], "do worse"),
    ],
)
def test_likeness_is_held_against_that_of_the_controls(
    results: StudyResults, theirs: list[float], words: str
) -> None:
    main, control, *_ = results.dictionaries
    assert control.evaluation is not None
    similarity = control.evaluation.metrics["similarity"]
    firing = {**similarity["firing"], "above_random": theirs}
    evaluation = control.evaluation.model_copy(
        update={
            "metrics": {
                **control.evaluation.metrics,
                "similarity": {**similarity, "firing": firing},
            }
        }
    )
    both = replace(results, dictionaries=(main, replace(control, evaluation=evaluation)))
    told = sentence(both, "closer than those of random cases")
    assert "by +0.200 [+0.150 to +0.250]" in told
    assert f"the latents of an untrained autoencoder {words}" in told


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ([0.6, 0.5, 0.7], "is told among the five strongest that do: 0.600 [0.500 to 0.700]"),
        ([0.2, 0.15, 0.25], "is not told better than by guessing"),
        ([0.1, 0.05, 0.15], "is told less often than by guessing"),
    ],
)
def test_intruders_are_held_against_guessing(
    results: StudyResults, own: list[float], words: str
) -> None:
    assert results.main.evaluation is not None
    by_text = results.main.evaluation.metrics["similarity_text"]
    firing = {**by_text["firing"], "intruder": own}
    told = sentence(with_evaluation(results, similarity_text={"firing": firing}), "By text")
    assert words in told
    assert "0.167 by guessing" in told
    assert "the latents of an untrained autoencoder do" in told


@pytest.mark.parametrize(
    ("independent", "above", "words", "by"),
    [
        (
            False,
            [0.25, 0.2, 0.3],
            "on top more than with another latent's",
            "the very tags that the labels",
        ),
        (
            True,
            [0.01, -0.1, 0.1],
            "on top as much as with another latent's",
            "tags of people whose tags",
        ),
        (
            True,
            [-0.2, -0.3, -0.1],
            "on top less than with another latent's",
            "tags of people whose tags",
        ),
    ],
)
def test_labels_are_held_against_tags(
    results: StudyResults, independent: bool, above: list[float], words: str, by: str
) -> None:
    assert results.main.evaluation is not None
    found = results.main.evaluation.metrics["label_truth"]
    labels = found["labelled"]
    changed = {
        "independent": independent,
        "labelled": {
            **labels,
            "point_biserial": {**labels["point_biserial"], "above_shuffled": above},
        },
    }
    told = sentence(with_evaluation(results, label_truth=changed), "Held against")
    assert words in told
    assert by in told
    assert "median 0.300 [0.200 to 0.400]" in told
    assert "of the ten strongest items 50% carry it, 10% the other" in told


def test_without_text_nothing_is_told_of_it(results: StudyResults) -> None:
    bare = with_evaluation(results, similarity_text=None)
    assert not [one for one in what_it_shows(bare) if one.startswith("By text")]
    assert sentence(bare, "By the recommender's item vectors")


def test_labels_are_held_against_every_control(results: StudyResults) -> None:
    easier = "easier to name than the latents of an untrained autoencoder"
    assert easier in sentence(results, "latents are")
    main, *_ = results.dictionaries
    # As many with a high P, but a lower AUROC.
    mixed = dictionary(5, (Role.UNTRAINED,), "untrained", paper_p=[0.9, 0.8, 0.7, None], auroc=0.6)
    told = sentence(replace(results, dictionaries=(main, mixed)), "latents are")
    assert "neither clearly easier nor clearly harder to name" in told
