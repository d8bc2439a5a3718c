"""A survey as a table for spreadsheets, and the answers that raters send back."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Literal

from reclens.concepts.people.survey import ShownCase, ShownItem, Survey
from reclens.contracts import SurveyKey
from reclens.errors import InvalidInput, MalformedData

CaseAnswer = Literal["yes", "no", "cannot tell"]
"""Whether the concept describes what is recommended."""

CLARITY: Final = "label"
"""In the column ``case``: the row asks whether the label is clear, 1 to 5."""
COLUMNS: Final = ("survey", "rater", "question", "case", "answer")
"""Columns that answers need; others are ignored."""

_VERDICTS: Final[Mapping[str, CaseAnswer]] = {
    "yes": "yes",
    "y": "yes",
    "no": "no",
    "n": "no",
    "cannot tell": "cannot tell",
    "?": "cannot tell",
}
_RATER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_FILE_PREFIX = "answers-"
# A cell that begins with one of these is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class Answers:
    """What one person answered."""

    rater: str
    """Name of the rater, ``[A-Za-z0-9._-]``."""
    cases: dict[tuple[int, int], CaseAnswer]
    """By question and case; what was left blank is absent."""
    clarity: dict[int, int]
    """By question, 1 (unclear) to 5 (clear); what was left blank is absent."""


def as_sheet(survey: Survey) -> str:
    """The questions as CSV (RFC 4180) with a blank column ``answer``, for a spreadsheet.

    Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([*COLUMNS, "label", "description", "recommended", "chosen before"])
    for question in survey.questions:
        about = [_safe(question.label), _safe(question.description)]
        start = [survey.survey_id, "", question.question]
        for case in question.cases:
            writer.writerow([*start, case.case, "", *about, *_shown(case)])
        writer.writerow([*start, CLARITY, "", *about, "is the label clear? 1 to 5, optional", ""])
    return text.getvalue()


def read_answers(text: str, file: str, key: SurveyKey) -> Answers:
    """Read the answers of one rater: what the page saves, or the filled-in sheet.

    The rater is named in the column ``rater``; where that is blank, by the file's name
    ``answers-<rater>.csv``.

    Raises:
        MalformedData: names file, line and column of what does not fit the survey.
        InvalidInput: the rater cannot be told.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise MalformedData(
            f"{file}, line 1: there is no column {', '.join(map(repr, missing))}.",
            field=missing[0],
            remedy="use the file that the page saves, or survey.csv with its first line.",
        )
    asked = {one.question: {case.case for case in one.cases} for one in key.questions}
    cases: dict[tuple[int, int], CaseAnswer] = {}
    clarity: dict[int, int] = {}
    seen: set[tuple[int, int | str]] = set()
    raters: set[str] = set()
    for row in reader:
        cell = _Row(file, reader.line_num, {name: (row[name] or "").strip() for name in COLUMNS})
        if cell["survey"] != key.survey_id:
            raise cell.wrong("survey", f"these answers are not to survey {key.survey_id}")
        if cell["rater"]:
            raters.add(cell["rater"])
        if len(raters) > 1:
            raise cell.wrong("rater", f"this file began as {min(raters - {cell['rater']})!r}'s")
        question = cell.number("question", asked)
        place = CLARITY if cell["case"] == CLARITY else cell.number("case", asked[question])
        if (question, place) in seen:
            raise cell.wrong("case", f"question {question} has it twice")
        seen.add((question, place))
        if not cell["answer"]:
            continue
        if isinstance(place, str):
            clarity[question] = cell.number("answer", range(1, 6))
        else:
            cases[question, place] = cell.verdict()
    return Answers(_rater(raters, file), cases, clarity)


@dataclass(frozen=True)
class _Row:
    """One line of answers."""

    file: str
    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def number(self, column: str, allowed: range | set[int] | dict[int, set[int]]) -> int:
        # A spreadsheet may have made 3 into 3.0.
        digits = self[column].removesuffix(".0")
        if digits.isascii() and digits.isdigit() and int(digits) in allowed:
            return int(digits)
        raise self.wrong(column, f"expected one of {min(allowed)} to {max(allowed)}")

    def verdict(self) -> CaseAnswer:
        found = _VERDICTS.get(self["answer"].lower())
        if found is None:
            raise self.wrong("answer", "expected yes, no, cannot tell or nothing")
        return found

    def wrong(self, column: str, problem: str) -> MalformedData:
        return MalformedData.at(self.file, self.line, column, self[column], problem)


def _rater(raters: set[str], file: str) -> str:
    stem = PurePath(file).stem
    named = next(iter(raters), stem.removeprefix(_FILE_PREFIX))
    if (not raters and not stem.startswith(_FILE_PREFIX)) or not _RATER.fullmatch(named):
        raise InvalidInput(
            f"{file} does not say whose answers it holds.",
            field="rater",
            remedy="fill in the column `rater`, or name the file answers-<rater>.csv; a rater's "
            "name has at most 40 letters, digits, dots, hyphens and underscores.",
        )
    return named


def _shown(case: ShownCase) -> list[str]:
    recommended = "; ".join(_worded(item) for item in case.recommended)
    return [_safe(recommended), _safe("; ".join(case.history))]


def _worded(item: ShownItem) -> str:
    year = f" ({item.year})" if item.year is not None else ""
    tags = f" [{', '.join(item.tags)}]" if item.tags else ""
    return f"{item.title}{year}{tags}"


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
