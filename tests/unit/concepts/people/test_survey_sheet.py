"""The sheet for spreadsheets, and answers that fit the survey or are refused."""

from __future__ import annotations

import csv
import io

import pytest

from reclens.concepts.people.survey import ShownCase, ShownItem, ShownQuestion, Survey
from reclens.concepts.people.survey_sheet import as_sheet, read_answers
from reclens.contracts import KeyCase, KeyQuestion, SurveyKey
from reclens.errors import InvalidInput, MalformedData

SURVEY = "00000000000000ab"
KEY = SurveyKey(
    survey_id=SURVEY,
    concepts=f"concepts/{1:016x}",
    split="test",
    seed=0,
    questions=tuple(
        KeyQuestion(
            question=question,
            concept_id=f"c{question}",
            latents=(question,),
            label="L",
            confidence=0.7,
            trusted=True,
            cases=tuple(
                KeyCase(case=case, fires=case == 1, activation=0, user_id="u") for case in (1, 2)
            ),
        )
        for question in (1, 2)
    ),
)
HEAD = "survey,rater,question,case,answer\n"


def shown(title: str, label: str = "Drama") -> Survey:
    item = ShownItem(title, 1999, ("Noir", "War"))
    cases = tuple(ShownCase(case, (item, item), (title,)) for case in (1, 2))
    return Survey(SURVEY, tuple(ShownQuestion(n, label, "What it is.", cases) for n in (1, 2)))


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_sheet_asks_every_case_and_how_clear_the_label_is():
    rows = cells(as_sheet(shown("Heat")))
    assert [(row["question"], row["case"]) for row in rows] == [
        ("1", "1"), ("1", "2"), ("1", "label"), ("2", "1"), ("2", "2"), ("2", "label"),
    ]  # fmt: skip
    assert {row["answer"] for row in rows} == {""}
    assert rows[0]["recommended"] == "Heat (1999) [Noir, War]; Heat (1999) [Noir, War]"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start: str):
    evil = f'{start}HYPERLINK("http://x","y")'
    for row in cells(as_sheet(shown(evil, label=evil))):
        for name in ("label", "recommended", "chosen before"):
            assert not row[name].startswith(start)
        assert evil in row["label"]


def test_a_filled_in_sheet_is_read_back():
    lines = as_sheet(shown('A "quoted", title\n')).split("\r\n")
    assert lines[1].startswith(f"{SURVEY},,1,1,,")
    text = "\r\n".join(lines).replace(f"{SURVEY},,1,1,,", f"{SURVEY},,1,1,Y,")
    text = text.replace(f"{SURVEY},,2,label,,", f"{SURVEY},,2,label,4.0,")
    answers = read_answers("\ufeff" + text, "answers-ann.csv", KEY)
    assert answers.rater == "ann"
    assert answers.cases == {(1, 1): "yes"}
    assert answers.clarity == {2: 4}


def test_what_is_left_blank_is_no_answer_and_a_column_names_the_rater():
    text = f"{HEAD}{SURVEY},bob,1,1,no\n{SURVEY},bob,1,2,?\n{SURVEY},bob,2,1,\n"
    answers = read_answers(text, "anything.csv", KEY)
    assert answers.rater == "bob"
    assert answers.cases == {(1, 1): "no", (1, 2): "cannot tell"}
    assert answers.clarity == {}


@pytest.mark.parametrize(
    ("row", "column", "told"),
    [
        ("00000000000000ac,a,1,1,yes", "survey", "not to survey 00000000000000ab"),
        (f"{SURVEY},a,3,1,yes", "question", "1 to 2, got '3'"),
        (f"{SURVEY},a,x,1,yes", "question", "got 'x'"),
        (f"{SURVEY},a,1,3,yes", "case", "1 to 2, got '3'"),
        (f"{SURVEY},a,1,,yes", "case", "got ''"),
        (f"{SURVEY},a,1,1,maybe", "answer", "got 'maybe'"),
        (f"{SURVEY},a,1,1,1", "answer", "got '1'"),
        (f"{SURVEY},a,1,label,6", "answer", "1 to 5, got '6'"),
        (f"{SURVEY},a,1,label,yes", "answer", "1 to 5, got 'yes'"),
        (f"{SURVEY},a,1,label,²", "answer", "got '²'"),
        (f"{SURVEY},b,1,1,yes", "rater", "began as 'a'"),
        (f"{SURVEY},a,2,2,no", "case", "question 2 has it twice"),
        (f"{SURVEY},a,1", "case", "got ''"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_with_row_and_column(
    row: str, column: str, told: str
):
    text = f"{HEAD}{SURVEY},a,2,2,yes\n{row}\n"
    with pytest.raises(MalformedData) as refused:
        read_answers(text, "answers-a.csv", KEY)
    assert refused.value.field == column
    assert f"answers-a.csv, line 3, column '{column}'" in str(refused.value)
    assert told in str(refused.value)


def test_a_missing_column_is_named():
    with pytest.raises(MalformedData, match="no column 'case', 'answer'"):
        read_answers("survey,rater,question\n", "answers-a.csv", KEY)


@pytest.mark.parametrize(
    ("file", "rater"),
    [("survey.csv", ""), ("answers-.csv", ""), ("x.csv", "=1+1"), ("x.csv", "a/b")],
)
def test_answers_need_a_rater(file: str, rater: str):
    with pytest.raises(InvalidInput, match="whose answers"):
        read_answers(f"{HEAD}{SURVEY},{rater},1,1,yes\n", file, KEY)
