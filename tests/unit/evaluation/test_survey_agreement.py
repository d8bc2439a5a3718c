"""Figures of a survey, against published examples, hand-worked cases and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from reclens.concepts.people.survey_sheet import Answers
from reclens.contracts import KeyCase, KeyQuestion, SurveyKey
from reclens.errors import InvalidInput
from reclens.evaluation.survey_agreement import survey_result


def key_of(*questions: tuple[float, str]) -> SurveyKey:
    """A question is the machine's confidence, and a letter a case: f fires, s is silent."""
    return SurveyKey(
        survey_id="00000000000000ab",
        concepts=f"concepts/{1:016x}",
        split="test",
        seed=0,
        questions=tuple(
            KeyQuestion(
                question=number,
                concept_id=f"c{number}",
                latents=(number,),
                label="L",
                confidence=confidence,
                trusted=confidence >= 0.7,
                cases=tuple(
                    KeyCase(case=case, fires=letter == "f", activation=0, user_id="u")
                    for case, letter in enumerate(letters, start=1)
                ),
            )
            for number, (confidence, letters) in enumerate(questions, start=1)
        ),
    )


def answers(rater: str, *questions: str, clarity: dict[int, int] | None = None) -> Answers:
    """A letter a case: y, n, ? or a blank."""
    words = {"y": "yes", "n": "no", "?": "cannot tell"}
    given = {
        (number, case): words[letter]
        for number, letters in enumerate(questions, start=1)
        for case, letter in enumerate(letters, start=1)
        if letter != " "
    }
    return Answers(rater, given, clarity or {})


def test_a_concept_by_hand():
    key = key_of((0.9, "fffsss"))
    result = survey_result(
        key,
        [
            answers("a", "yyn nn", clarity={1: 5}),  # 2 of 3 firing, 2 of 2 silent
            answers("b", "y?ynyn", clarity={1: 2}),  # 2 of 2 firing, 2 of 3 silent
        ],
    )
    (found,) = result.concepts
    assert (found.answers, found.cannot_tell) == (10, 1)
    assert found.recall == pytest.approx(4 / 5)
    assert found.specificity == pytest.approx(4 / 5)
    assert found.accuracy == pytest.approx(8 / 10)
    assert found.balanced_accuracy == pytest.approx(0.8)
    assert found.clarity == 3.5
    first, second = result.summary["raters"]
    assert first == {
        "rater": "a", "answered": 5, "of": 6, "cannot_tell": 0,
        "balanced_accuracy": pytest.approx((2 / 3 + 1) / 2),
    }  # fmt: skip
    assert second["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)


def test_alpha_is_that_of_the_published_example():
    # K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section B: binary data,
    # two observers, 10 units, alpha = 0.095.
    key = key_of((0.9, "fffffsssss"))
    meg = "nynnnnnnyn"
    owen = "yyynnynnnn"
    summary = survey_result(key, [answers("meg", meg), answers("owen", owen)]).summary
    assert summary["krippendorff_alpha"] == pytest.approx(0.095, abs=5e-4)
    assert summary["alpha_missing_because"] is None


def test_alpha_leaves_out_what_one_rater_or_nobody_decided():
    key = key_of((0.9, "fffffsssss ffff".replace(" ", "s")))
    meg, owen = "nynnnnnnyn" + "y? n ", "yyynnynnnn" + " yy ?"
    summary = survey_result(key, [answers("meg", meg), answers("owen", owen)]).summary
    assert summary["krippendorff_alpha"] == pytest.approx(0.095, abs=5e-4)


@pytest.mark.parametrize(
    ("sets", "why"),
    [
        ([answers("a", "yn")], "one rater"),
        ([answers("a", "y "), answers("b", " n")], "no case"),
        ([answers("a", "y?"), answers("b", "?n")], "no case"),
        ([answers("a", "yy"), answers("b", "yy")], "the same"),
    ],
)
def test_alpha_is_missing_where_it_has_no_meaning(sets: list[Answers], why: str):
    summary = survey_result(key_of((0.9, "fs")), sets).summary
    assert summary["krippendorff_alpha"] is None
    assert why in summary["alpha_missing_because"]


def test_the_correlation_is_that_of_people_and_machine_over_concepts():
    confidences = [0.5, 0.55, 0.6, 0.7, 0.8, 0.9]
    said = ["nnnnyyyy", "ynnnnyyy", "yynnnnyy", "yyynnyyy", "yyyynnnn", "yyyynnny"]
    people = [0, 0.25, 0.5, 0.5, 1, 0.875]
    key = key_of(*((one, "ffffssss") for one in confidences))
    result = survey_result(key, [answers("a", *said)])
    assert [one.balanced_accuracy for one in result.concepts] == pytest.approx(people)
    found = result.summary["confidence_spearman"]
    assert found["value"] == pytest.approx(float(spearmanr(confidences, people)[0]))
    assert found["low"] <= found["value"] <= found["high"] <= 1
    # Trusted from 0.7: machine 0 0 0 1 1 1, people 0 0 0 0 1 1.
    assert result.summary["trusted_agreement"]["share"] == pytest.approx(5 / 6)
    assert result.summary["balanced_accuracy"]["mean"] == pytest.approx(np.mean(people))


def test_a_machine_that_is_right_about_its_labels_is_told_from_one_that_is_not():
    rng = np.random.default_rng(3)
    truth = np.linspace(0, 1, 40)
    letters = []
    for skill in truth:
        known = rng.random(20) < 0.5 + skill / 2
        letters.append("".join("y" if knows == (c < 10) else "n" for c, knows in enumerate(known)))
    told = survey_result(
        key_of(*((0.5 + skill / 2, "f" * 10 + "s" * 10) for skill in truth)),
        [answers("a", *letters)],
    )
    shuffled = rng.permutation(truth)
    not_told = survey_result(
        key_of(*((0.5 + skill / 2, "f" * 10 + "s" * 10) for skill in shuffled)),
        [answers("a", *letters)],
    )
    assert told.summary["confidence_spearman"]["low"] > 0.5
    low, high = (not_told.summary["confidence_spearman"][end] for end in ("low", "high"))
    assert low < 0 < high


def test_concepts_without_both_sides_are_not_judged():
    key = key_of((0.9, "fs"), (0.8, "fs"), (0.7, "fs"))
    result = survey_result(key, [answers("a", "y ", "??", "yn")])
    assert [one.balanced_accuracy for one in result.concepts] == [None, None, 1]
    assert result.concepts[0].recall == 1
    assert result.concepts[1].accuracy is None
    assert result.summary["judged"] == 1
    assert result.summary["confidence_spearman"]["value"] is None
    assert not any(
        isinstance(value, float) and math.isnan(value)
        for one in result.as_json()["concepts"]
        for value in one.values()
    )


def test_a_rater_counts_once():
    with pytest.raises(InvalidInput, match="rater 'a' is there twice"):
        survey_result(key_of((0.9, "fs")), [answers("a", "yn"), answers("a", "ny")])
    with pytest.raises(InvalidInput, match="no answers"):
        survey_result(key_of((0.9, "fs")), [])
