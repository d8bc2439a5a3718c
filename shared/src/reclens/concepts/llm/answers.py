"""What counts as an answer. Whatever grammar a server was given, its text is validated here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reclens.concepts.evidence.item_text import clean
from reclens.concepts.llm.questions import MAX_DESCRIPTION, JudgeQuestion, LabelQuestion

MAX_NAME_WORDS = 6
"""Words of a label's name."""
MAX_NAME = 80
"""Characters of a label's name."""
MAX_REASON = 200
"""Characters of a reason."""
MAX_GRADE = 10
"""Best grade of a judge; the worst is 0."""
MAX_ANSWER = 100_000
"""Characters of a model's text that are looked at: the last ones, where an answer stands."""

_MAX_OBJECTS = 2000  # beginnings of JSON objects that are tried
_SEVERAL = 8  # problems that a repair is told of


class InvalidAnswer(ValueError):
    """A model's text is no answer; the message says why, in words for the model to read."""


class _Answer(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )


class LabelAnswer(_Answer):
    """What a model says a latent is about."""

    reason: str
    """What firing items share, or why there is no name."""
    abstain: bool
    """Whether there is no name."""
    name: str
    """Label of at most 6 words; empty where the model abstains."""
    description: str
    """One sentence; empty where the model abstains."""
    keywords: list[str]
    """Those of the offered keywords that the name rests on, as offered."""


class JudgeAnswer(_Answer):
    """What a model says of each case."""

    grades: list[Annotated[int, Field(ge=0, le=MAX_GRADE)]]
    """How well the label fits, 0 to 10, one per case."""


AnswerT = TypeVar("AnswerT", bound=_Answer)


def read_label(text: str, question: LabelQuestion) -> LabelAnswer:
    """The label in a model's text, cleaned and bounded.

    A keyword that was not offered is dropped: the name stands without it. A name that is too long
    is refused, not cut: what is left of it would not be what the model meant.

    Raises:
        InvalidAnswer: there is no valid label in it.
    """
    return _last_valid(text, lambda found: _label(_validated(found, LabelAnswer), question))


def _label(answer: LabelAnswer, question: LabelQuestion) -> LabelAnswer:
    if answer.abstain:
        return abstention(answer.reason)
    name = clean(answer.name, MAX_NAME + 1)
    if not any(char.isalnum() for char in name):
        raise InvalidAnswer('"name" is empty though "abstain" is false.')
    if (n_words := len(name.split())) > MAX_NAME_WORDS or len(name) > MAX_NAME:
        raise InvalidAnswer(
            f'"name" may have {MAX_NAME_WORDS} words and {MAX_NAME} characters at most, '
            f"it has {n_words} words."
        )
    description = clean(answer.description, MAX_DESCRIPTION)
    if not description:
        raise InvalidAnswer('"description" is empty though "abstain" is false.')
    offered = {keyword.casefold(): keyword for keyword in question.offered()}
    said = (clean(keyword, MAX_NAME).casefold() for keyword in answer.keywords)
    keywords = list(dict.fromkeys(offered[keyword] for keyword in said if keyword in offered))
    return LabelAnswer(
        reason=clean(answer.reason, MAX_REASON),
        abstain=False,
        name=name,
        description=description,
        keywords=keywords,
    )


def read_grades(text: str, question: JudgeQuestion) -> JudgeAnswer:
    """The grades in a model's text.

    Raises:
        InvalidAnswer: there is no valid list of grades in it, one per case.
    """
    return _last_valid(text, lambda found: _grades(_validated(found, JudgeAnswer), question))


def _grades(answer: JudgeAnswer, question: JudgeQuestion) -> JudgeAnswer:
    if len(answer.grades) != len(question.cases):
        raise InvalidAnswer(
            f'"grades" has {len(answer.grades)} numbers, {len(question.cases)} are needed.'
        )
    return answer


def abstention(reason: str) -> LabelAnswer:
    """A label that is none, with the reason cleaned and bounded."""
    reason = clean(reason, MAX_REASON)
    return LabelAnswer(reason=reason, abstain=True, name="", description="", keywords=[])


def _last_valid(text: str, read: Callable[[dict[str, Any]], AnswerT]) -> AnswerT:
    """The last JSON object in ``text`` that is an answer: models think aloud before it, fence it,
    wrap it in another, and go on after it.

    Raises:
        InvalidAnswer: there is none; what is wrong with the last object.
    """
    found = find_objects(text)
    problem = InvalidAnswer("there is no complete JSON object in it.")
    for number, whole in enumerate(reversed(found)):
        for candidate in (whole, *(value for value in whole.values() if isinstance(value, dict))):
            try:
                return read(candidate)
            except InvalidAnswer as error:
                if number == 0 and candidate is whole:
                    problem = error
    raise problem


def find_objects(text: str) -> list[dict[str, Any]]:
    """Whole JSON objects at the end of ``text`` that are not inside another one, in order."""
    text = text[-MAX_ANSWER:]
    found: list[dict[str, Any]] = []
    at = text.find("{")
    for _ in range(_MAX_OBJECTS):
        if at < 0:
            break
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            found.append(value)
        at = text.find("{", end)
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def _validated(found: dict[str, Any], kind: type[AnswerT]) -> AnswerT:
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise InvalidAnswer(_told(error)) from error


def _told(error: ValidationError) -> str:
    """Problems in words; what the model wrote is not repeated, but for the names of its fields."""
    problems: Sequence[str] = [
        f"{clean('.'.join(str(part) for part in item['loc']), MAX_NAME)}: {item['msg']}"
        for item in error.errors(include_input=False, include_url=False)
    ]
    return "; ".join(problems[:_SEVERAL]) + "."
