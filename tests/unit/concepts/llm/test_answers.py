"""What counts as an answer, worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reclens.concepts.llm.answers import (
    InvalidAnswer,
    abstention,
    find_objects,
    read_grades,
    read_label,
)
from reclens.concepts.llm.questions import JudgeQuestion, LabelQuestion

GOOD: dict[str, Any] = {
    "reason": "all are dark",
    "abstain": False,
    "name": "Dark crime films",
    "description": "Crime films of the forties.",
    "keywords": ["1940s"],
}


def said(**changes: Any) -> str:
    return json.dumps({**GOOD, **changes})


def without(field: str) -> str:
    return json.dumps({key: value for key, value in GOOD.items() if key != field})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Sure:\n```json\n{"a": 1}\n```\nHope it helps!', {"a": 1}),
        ('<think>{"a": 0}? no, {a}</think> {"a": 1}', {"a": 1}),
        ('{"a": {"b": 2}} and then {"c', {"a": {"b": 2}}),
        ('{{{"a": 1}}}', {"a": 1}),
        ('{"a": "}{"}', {"a": "}{"}),
    ],
)
def test_the_last_whole_object_is_found_in_whatever_surrounds_it(text: str, found: dict):
    assert find_objects(text)[-1] == found


@pytest.mark.parametrize(
    "text",
    ["", "no idea", "[1, 2]", '{"a": 1', "{a: 1}", '{"a": NaN}', "{" * 100_000, '{"a":' * 50_000],
)
def test_text_without_an_object_is_no_answer(noir: LabelQuestion, text: str):
    assert find_objects(text) == []
    with pytest.raises(InvalidAnswer, match="no complete JSON object"):
        read_label(text, noir)


@pytest.mark.parametrize(
    "text",
    [
        said() + '\nIs that what you wanted? {"more": true}',
        said(name="A draft") + " or better\n```json\n" + said() + "\n```\n```json\n{}\n```",
        said() + said(name="a name of far too many words for anybody"),
        f'{{"label": {said()}, "done": true}}',
        f"[{said()}]",
        "<think>" + "{x} " * 1500 + "</think>" + said(),
        f"<think>{said(name='A draft')}</think>{said()}",
    ],
    ids=["goes on", "several", "worse", "wrapped", "list", "braces", "thought"],
)
def test_the_last_valid_object_counts(noir: LabelQuestion, text: str):
    assert read_label(text, noir).name == "Dark crime films"


def test_of_several_grades_the_last_that_fit_count(noir_cases: JudgeQuestion):
    text = '{"grades": [1, 1, 1, 1]} {"grades": [1, 2, 3, 4]} {"grades": [1]}'
    assert read_grades(text, noir_cases).grades == [1, 2, 3, 4]


def test_a_valid_label_is_taken(noir: LabelQuestion):
    answer = read_label(said(), noir)
    assert (answer.name, answer.description) == ("Dark crime films", "Crime films of the forties.")
    assert (answer.abstain, answer.keywords) == (False, ["1940s"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (without("reason"), "reason: Field required"),
        (without("abstain"), "abstain: Field required"),
        (said(score=3), "score: Extra inputs are not permitted"),
        (said(abstain="no"), "abstain: Input should be a valid boolean"),
        (said(name=7), "name: Input should be a valid string"),
        (said(keywords="1940s"), "keywords: Input should be a valid list"),
        (said(name=""), '"name" is empty'),
        (said(name=" ­\u200b … "), '"name" is empty'),
        (said(name="one two three four five six seven"), "6 words"),
        (said(name="x" * 81), "80 characters"),
        (said(description=" "), '"description" is empty'),
    ],
)
def test_an_invalid_label_says_what_is_wrong(noir: LabelQuestion, text: str, problem: str):
    with pytest.raises(InvalidAnswer) as caught:
        read_label(text, noir)
    assert problem in str(caught.value)


def test_six_words_are_few_enough(noir: LabelQuestion):
    assert read_label(said(name="one two three four five six"), noir).name.count(" ") == 5


def test_keywords_that_were_not_offered_are_dropped_and_others_spelled_as_offered(
    noir: LabelQuestion,
):
    answer = read_label(said(keywords=["film-noir", "Westerns", "1940s", "FILM-NOIR"]), noir)
    assert answer.keywords == ["Film-Noir", "1940s"]


def test_whatever_the_model_says_is_one_clean_line_of_bounded_length(noir: LabelQuestion):
    answer = read_label(
        said(
            name="Dark\n\u202efilms\x1b[31m",
            description="line\r\nbreak " + "long " * 5000,
            reason="\x00because " + "very " * 5000,
        ),
        noir,
    )
    assert answer.name == "Dark films[31m"
    assert answer.description.startswith("line break long long")
    assert (len(answer.description), len(answer.reason)) == (300, 200)
    assert answer.description.isprintable()
    assert answer.reason.startswith("because very")


def test_an_abstention_keeps_its_reason_only(noir: LabelQuestion):
    answer = read_label(said(abstain=True, reason="too\nmixed"), noir)
    assert answer.model_dump() == {
        "reason": "too mixed",
        "abstain": True,
        "name": "",
        "description": "",
        "keywords": [],
    }


def test_halves_of_characters_do_not_come_through(noir: LabelQuestion):
    """JSON can name them, and nothing that writes UTF-8 can take them."""
    text = json.dumps({**GOOD, "name": "Dark \ud800 films", "reason": "\udfff"})
    answer = read_label(text, noir)
    assert (answer.name, answer.reason) == ("Dark films", "")
    with pytest.raises(InvalidAnswer) as caught:
        read_label(r'{"\udfff": 1, "abstain": true}', noir)
    assert str(caught.value).encode()


def test_the_reason_of_any_abstention_is_bounded():
    assert len(abstention("x " * 500).reason) <= 200


def test_grades_are_taken_in_order(noir_cases: JudgeQuestion):
    assert read_grades('{"grades": [0, 10, 6, 5]}', noir_cases).grades == [0, 10, 6, 5]


@pytest.mark.parametrize(
    ("grades", "problem"),
    [
        ("[1, 2, 3]", '"grades" has 3 numbers, 4 are needed'),
        ("[1, 2, 3, 4, 5]", '"grades" has 5 numbers, 4 are needed'),
        ("[1, 2, 3, 11]", "grades.3: Input should be less than or equal to 10"),
        ("[1, 2, 3, -1]", "grades.3: Input should be greater than or equal to 0"),
        ("[1, 2, 3, 4.5]", "grades.3: Input should be a valid integer"),
        ('[1, 2, 3, "4"]', "grades.3: Input should be a valid integer"),
        ("[1, 2, 3, true]", "grades.3: Input should be a valid integer"),
        ("[1, 2, 3, null]", "grades.3: Input should be a valid integer"),
        ("7", "grades: Input should be a valid list"),
    ],
)
def test_invalid_grades_say_what_is_wrong(noir_cases: JudgeQuestion, grades: str, problem: str):
    with pytest.raises(InvalidAnswer) as caught:
        read_grades(f'{{"grades": {grades}}}', noir_cases)
    assert problem in str(caught.value)


def test_the_names_of_strange_fields_reach_a_repair_bounded(noir_cases: JudgeQuestion):
    strange = {f"{number} " + "x" * 500: 1 for number in range(30)}
    with pytest.raises(InvalidAnswer) as caught:
        read_grades(json.dumps(strange), noir_cases)
    assert "0 xxx" in str(caught.value)
    assert len(str(caught.value)) < 1000
