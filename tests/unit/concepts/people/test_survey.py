"""What a survey asks: held against the planted world, or against cases laid out by hand."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy import sparse

from reclens.concepts.evidence.cases import Cases
from reclens.concepts.labels.concepts import Concept
from reclens.concepts.people.survey import SurveyOptions, make_survey
from reclens.data.dataset import Items
from reclens.errors import InvalidInput, MissingData

ARTIFACT = f"concepts/{1:016x}"


def concept(latents: tuple[int, ...], confidence: float | None, **changed) -> Concept:
    fields = {
        "concept_id": f"c{latents[0]}",
        "label": f"Label {latents[0]}",
        "description": "Fires when it is recommended: 9 of its 10 items, 3.5 times the usual.",
        "keywords": (f"word{latents[0]}",),
        "precision": None,
        "recall": None,
        "auroc": None,
        "n_positive": 9,
        "n_negative": 9,
        "trusted": confidence is not None and confidence >= 0.7,
        "weights": (1.0,) * len(latents),
        "evidence_items": (),
        "source": "keywords",
    }
    return Concept(latents=latents, confidence=confidence, **{**fields, **changed})


def survey_of(concepts, cases, items, *, histories=None, scale=None, **options):
    return make_survey(
        concepts,
        cases,
        histories or [()] * len(cases),
        items,
        np.ones(cases.n_latents) if scale is None else scale,
        artifact=ARTIFACT,
        split="test",
        options=SurveyOptions(**options),
    )


def hand_made(values: list[float], *, tops=None, users=None) -> tuple[Cases, Items]:
    """One latent; the answer of case i is five items of its own, unless told otherwise."""
    n_cases = len(values)
    tops = np.array(tops if tops is not None else np.arange(5 * n_cases).reshape(n_cases, 5))
    n_items = int(tops.max()) + 1
    cases = Cases(
        np.array(users or [f"u{row}" for row in range(n_cases)]),
        tops.astype(np.int32),
        sparse.csr_matrix(np.array(values, np.float32)[:, None]),
    )
    items = Items(
        ids=[f"i{index}" for index in range(n_items)],
        titles=[f"T{index}" for index in range(n_items)],
        tags=[["a", "b"]] * n_items,
        years=[1990] * n_items,
        popularity=np.ones(n_items, np.int32),
    )
    return cases, items


def test_every_question_has_five_firing_and_five_silent_cases_as_the_key_says(world):
    concepts = [concept((latent,), 0.5 + latent / 40) for latent in range(12)]
    survey, key = survey_of(concepts, world.verify, world.items, n=12)
    by_answer = {
        tuple(f"Title {item}" for item in world.verify.top_items[row, :5]): row
        for row in range(len(world.verify))
    }
    dense = world.verify.activations.toarray()
    assert len(survey.questions) == len(key.questions) == 12
    for shown, truth in zip(survey.questions, key.questions, strict=True):
        (latent,) = truth.latents
        rows = [by_answer[tuple(item.title for item in one.recommended)] for one in shown.cases]
        assert len(set(rows)) == 10
        assert [one.fires for one in truth.cases] == (dense[rows, latent] > 0).tolist()
        assert sum(one.fires for one in truth.cases) == 5
        assert [one.case for one in shown.cases] == [one.case for one in truth.cases]
        assert shown.label == truth.label == f"Label {latent}"


def test_what_raters_see_tells_neither_what_fired_nor_how_good_the_label_is(world):
    survey, _ = survey_of([concept((3,), 0.8125)], world.verify, world.items)
    seen = asdict(survey)
    assert set(seen) == {"survey_id", "questions"}
    (question,) = seen["questions"]
    assert set(question) == {"question", "label", "description", "cases"}
    assert {name for case in question["cases"] for name in case} == {
        "case", "recommended", "history",
    }  # fmt: skip
    text = json.dumps(seen)
    for figure in ("8125", "9 of its 10", "3.5"):
        assert figure not in text
    assert question["description"] == "What is recommended here: word3."


@pytest.mark.parametrize(
    ("source", "description", "shown"),
    [
        ("llm", "Films with ghosts.", "Films with ghosts."),
        ("human", "Ghosts. Named by ann; figures are those of the machine's label 'X'.", "Ghosts."),
        ("human", "Named by ann; figures are those of the machine's label 'X'.", ""),
    ],
)
def test_raters_see_what_a_label_says_and_not_who_gave_it(world, source, description, shown):
    about = concept((3,), 0.8, source=source, description=description)
    survey, _ = survey_of([about], world.verify, world.items)
    assert survey.questions[0].description == shown


def test_firing_cases_stand_at_any_place(world):
    concepts = [concept((latent,), 0.6) for latent in range(12)]
    _, key = survey_of(concepts, world.verify, world.items, n=12)
    firing = np.array([[one.fires for one in question.cases] for question in key.questions])
    # 12 draws of 5 places of 10: each place is expected 6 times, and none always or never.
    assert firing.sum(axis=0).min() >= 1
    assert firing.sum(axis=0).max() <= 11


def test_one_concept_is_drawn_from_each_stratum_of_confidence(world):
    confidences = [0.5 + latent / 40 for latent in range(12)]
    concepts = [concept((latent,), confidences[latent]) for latent in range(12)]
    for seed in range(5):
        _, key = survey_of(concepts[::-1], world.verify, world.items, n=4, seed=seed)
        strata = sorted(one.latents[0] // 3 for one in key.questions)
        assert strata == [0, 1, 2, 3]


def test_firing_cases_are_one_of_each_fifth_of_the_activation():
    cases, items = hand_made([3, 1, 4, 10, 5, 9, 2, 6, 8, 7] + [0.0] * 20)
    for seed in range(5):
        _, key = survey_of([concept((0,), 0.7)], cases, items, seed=seed)
        fired = sorted(one.activation for one in key.questions[0].cases if one.fires)
        assert [int((value + 1) // 2) for value in fired] == [1, 2, 3, 4, 5]


def test_two_silent_cases_are_among_those_most_like_the_firing_ones():
    # Firing answers begin with item 0; so do the answers of cases 5 and 6, alone of the silent.
    own = iter(range(1, 1000))
    tops = [[0] + [next(own) for _ in range(4)] for _ in range(7)]
    tops += [[next(own) for _ in range(5)] for _ in range(13)]
    cases, items = hand_made([1, 2, 3, 4, 5] + [0.0] * 15, tops=tops)
    for seed in range(5):
        survey, key = survey_of([concept((0,), 0.7)], cases, items, seed=seed)
        pairs = zip(survey.questions[0].cases, key.questions[0].cases, strict=True)
        silent = [shown for shown, truth in pairs if not truth.fires]
        assert sum(one.recommended[0].title == "T0" for one in silent) == 2


def test_cases_that_look_alike_are_asked_about_once():
    shared = [list(range(5))] * 4
    own = np.arange(5, 5 + 5 * 12).reshape(12, 5).tolist()
    cases, items = hand_made([1.0, 0, 2.0, 0] + [3.0] * 5 + [0.0] * 7, tops=shared + own)
    survey, _ = survey_of([concept((0,), 0.7)], cases, items)
    answers = [tuple(i.title for i in one.recommended) for one in survey.questions[0].cases]
    assert len(set(answers)) == 10


def test_a_user_is_asked_about_once_where_there_are_enough():
    users = ["often"] * 10 + ["a", "b", "c", "d"] + [f"s{row}" for row in range(40)]
    cases, items = hand_made([1.0] * 14 + [0.0] * 40, users=users)
    _, key = survey_of([concept((0,), 0.7)], cases, items)
    fired = sorted(one.user_id for one in key.questions[0].cases if one.fires)
    assert fired == ["a", "b", "c", "d", "often"]


def test_a_concept_fires_where_any_of_its_latents_does():
    cases, items = hand_made([0.0] * 24)
    values = np.zeros((24, 2), np.float32)
    values[:3, 0], values[3:5, 1] = 8, 2
    both = Cases(cases.user_ids, cases.top_items, sparse.csr_matrix(values))
    _, key = survey_of([concept((1, 0), 0.7)], both, items, scale=np.array([4.0, 2.0]))
    fired = sorted((one.user_id, one.activation) for one in key.questions[0].cases if one.fires)
    assert fired == [("u0", 2), ("u1", 2), ("u2", 2), ("u3", 1), ("u4", 1)]


def test_the_history_shows_its_last_five_titles():
    cases, items = hand_made([1.0] * 5 + [0.0] * 10)
    histories = [tuple(f"i{index}" for index in range(8))] * 15
    survey, _ = survey_of([concept((0,), 0.7)], cases, items, histories=histories)
    assert survey.questions[0].cases[0].history == ("T3", "T4", "T5", "T6", "T7")


def test_the_same_seed_gives_the_same_survey_and_another_one_another(world):
    concepts = [concept((latent,), 0.6) for latent in range(12)]
    first, again, other = (
        survey_of(concepts, world.verify, world.items, n=3, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first[0].survey_id != other[0].survey_id


def test_only_the_wanted_confidence_is_asked_about(world):
    concepts = [concept((0,), None), concept((1,), 0.6), concept((2,), 0.75), concept((3,), 0.9)]
    _, key = survey_of(concepts, world.verify, world.items, min_confidence=0.65)
    assert sorted(one.concept_id for one in key.questions) == ["c2", "c3"]
    _, key = survey_of(concepts, world.verify, world.items, trusted_only=True)
    assert all(one.trusted for one in key.questions)
    _, key = survey_of(concepts, world.verify, world.items)
    assert "c0" not in {one.concept_id for one in key.questions}


@pytest.mark.parametrize("values", [[1.0] * 4 + [0.0] * 20, [1.0] * 20 + [0.0] * 4])
def test_a_concept_with_too_few_cases_of_either_side_is_not_asked_about(values):
    cases, items = hand_made(values)
    with pytest.raises(MissingData, match="1 have the wanted confidence"):
        survey_of([concept((0,), 0.7)], cases, items)


def test_no_concept_is_no_survey(world):
    with pytest.raises(InvalidInput, match="at least one"):
        survey_of([concept((0,), 0.7)], world.verify, world.items, n=0)
    with pytest.raises(MissingData, match="min_confidence"):
        survey_of([concept((0,), 0.7)], world.verify, world.items, min_confidence=0.9)
