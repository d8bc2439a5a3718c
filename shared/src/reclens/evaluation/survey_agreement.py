"""What people said of the concepts, against what fired, the machine's confidence and each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from reclens.concepts.evidence.classification_metrics import Confusion, wilson_interval
from reclens.concepts.judging.confidence import TRUSTED_CONFIDENCE
from reclens.concepts.people.survey_sheet import Answers
from reclens.contracts import KeyQuestion, SurveyKey
from reclens.errors import InvalidInput
from reclens.evaluation.statistics import (
    interval_json,
    json_number,
    krippendorff_alpha,
    spearman,
    statistic_interval,
)

_LEAST_CONCEPTS: Final = 3  # fewer have no correlation worth the name
_CODES: Final = {"yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class ConceptRatings:
    """What people said of one concept, all raters together."""

    question: int
    """Its number in the survey."""
    concept_id: str
    """Id within the concepts artifact."""
    label: str
    """Label of the concept."""
    confidence: float
    """The machine's balanced accuracy."""
    trusted: bool
    """Whether the machine trusts it."""
    answers: int
    """Number of answers that were yes or no."""
    cannot_tell: int
    """Number of answers that were neither."""
    accuracy: float | None
    """Share of the yes and no answers that tell what the concept did; None without any."""
    recall: float | None
    """Share of yes among answers to firing cases."""
    specificity: float | None
    """Share of no among answers to silent cases."""
    balanced_accuracy: float | None
    """Mean of recall and specificity; 0.5 is chance. None where either is missing."""
    clarity: float | None
    """Mean of 1 (unclear) to 5 (clear); None where nobody said."""

    @property
    def human_trusts(self) -> bool | None:
        """Whether people reach what the machine calls trusted; None where it cannot be told."""
        known = self.balanced_accuracy
        return None if known is None else known >= TRUSTED_CONFIDENCE


@dataclass(frozen=True)
class SurveyResult:
    """What a survey found."""

    concepts: list[ConceptRatings]
    """In the order of the questions."""
    summary: dict[str, Any]
    """See docs/explanation/concepts.md, "People"."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types: ``summary`` and ``concepts``."""
        return {**self.summary, "concepts": [asdict(one) for one in self.concepts]}


def survey_result(key: SurveyKey, answers: Sequence[Answers], *, seed: int = 0) -> SurveyResult:
    """Hold the raters' answers against the key.

    Args:
        key: of the survey.
        answers: one entry a rater.
        seed: of the bootstrap.

    Raises:
        InvalidInput: there are no answers, or two sets of one rater.
    """
    _check_raters(answers)
    concepts = [_verdict(question, answers) for question in key.questions]
    judged = [one for one in concepts if one.balanced_accuracy is not None]
    accuracies = np.array([one.balanced_accuracy for one in judged], np.float64)
    agreeing = sum(one.human_trusts == one.trusted for one in judged)
    share = agreeing / len(judged) if judged else None
    alpha, why_not = _alpha(key, answers)
    summary = {
        "survey": key.survey_id,
        "about": key.concepts,
        "split": key.split,
        "questions": len(concepts),
        "raters": [_rater(key, one) for one in answers],
        "judged": len(judged),
        "balanced_accuracy": _bounds("mean", interval_json(accuracies, seed=seed)),
        "confidence_spearman": _bounds("value", _correlation(judged, seed)),
        "trusted_agreement": _bounds("share", [share, *wilson_interval(agreeing, len(judged))]),
        "krippendorff_alpha": alpha,
        "alpha_missing_because": why_not,
    }
    return SurveyResult(concepts, summary)


def _check_raters(answers: Sequence[Answers]) -> None:
    if not answers:
        raise InvalidInput("there are no answers.", field="answers", remedy="name their files.")
    names = [one.rater for one in answers]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(
                f"rater {name!r} is there twice.",
                field="rater",
                remedy="keep one file of each rater; different people need different names.",
            )


def _verdict(question: KeyQuestion, answers: Sequence[Answers]) -> ConceptRatings:
    given = [
        (one.cases[question.question, case.case], case.fires)
        for one in answers
        for case in question.cases
        if (question.question, case.case) in one.cases
    ]
    clarity = [
        one.clarity[question.question] for one in answers if question.question in one.clarity
    ]
    return ConceptRatings(
        question=question.question,
        concept_id=question.concept_id,
        label=question.label,
        confidence=question.confidence,
        trusted=question.trusted,
        **_figures(given),
        clarity=sum(clarity) / len(clarity) if clarity else None,
    )


def _figures(given: Sequence[tuple[str, bool]]) -> dict[str, Any]:
    """Of answers and whether the concept fired: how many there are, and how many are right."""
    decided = [(answer == "yes", fires) for answer, fires in given if answer != "cannot tell"]
    said, fired = np.array(decided, bool).reshape(-1, 2).T
    counts = Confusion.of(said, fired)
    rates = ("accuracy", "recall", "specificity", "balanced_accuracy")
    return {
        "answers": len(decided),
        "cannot_tell": len(given) - len(decided),
        **{name: json_number(getattr(counts, name)) for name in rates},
    }


def _rater(key: SurveyKey, answers: Answers) -> dict[str, Any]:
    fires = {(one.question, case.case): case.fires for one in key.questions for case in one.cases}
    given = [(verdict, fires[place]) for place, verdict in answers.cases.items()]
    figures = _figures(given)
    return {
        "rater": answers.rater,
        "answered": len(given),
        "of": len(fires),
        **{name: figures[name] for name in ("cannot_tell", "balanced_accuracy")},
    }


def _correlation(judged: Sequence[ConceptRatings], seed: int) -> list[float | None]:
    if len(judged) < _LEAST_CONCEPTS:
        return [None] * 3
    pairs = np.array([[one.confidence, one.balanced_accuracy] for one in judged], np.float64)
    found = statistic_interval(lambda rows: spearman(rows[:, 0], rows[:, 1]), pairs, seed=seed)
    return found.as_json()


def _alpha(key: SurveyKey, answers: Sequence[Answers]) -> tuple[float | None, str | None]:
    """Krippendorff's alpha of yes and no over all cases, and why it is missing where it is.

    "Cannot tell" counts as no answer.
    """
    if len(answers) < 2:
        return None, "one rater agrees with nobody"
    places = [(one.question, case.case) for one in key.questions for case in one.cases]
    said = np.array(
        [[_CODES.get(one.cases.get(place, ""), math.nan) for place in places] for one in answers]
    )
    shared = said[:, np.isfinite(said).sum(axis=0) >= 2]
    if not shared.size:
        return None, "no case has yes or no from two raters"
    if len(np.unique(shared[np.isfinite(shared)])) < 2:
        return None, "all answers are the same, so chance cannot be told from agreement"
    return krippendorff_alpha(shared), None


def _bounds(name: str, interval: Sequence[float | None]) -> dict[str, float | None]:
    return dict(zip((name, "low", "high"), interval, strict=True))
