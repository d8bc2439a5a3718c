"""A survey among people: which concepts and cases are asked about, blind to the machine's answer.

The machine's confidence says how well a judge predicts from a label. Whether people read the label
the same way is another question; only people can answer it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from reclens.concepts.evidence.cases import Cases, CaseSplit, strongest_activation
from reclens.concepts.evidence.item_text import MAX_TERM, MAX_TITLE, clean, item_name
from reclens.concepts.labels.concepts import Concept
from reclens.concepts.people.corrections import CREDIT, HUMAN
from reclens.contracts import KeyCase, KeyQuestion, SurveyKey, canonical_json, sha256_hex
from reclens.data.dataset import Items
from reclens.errors import InvalidInput, MissingData

CASES_EACH: Final = 5
"""Firing cases of a question, and silent ones."""
ANSWER_SHOWN: Final = 5
"""Recommended items shown of a case."""
HISTORY_SHOWN: Final = 5
"""Latest items of the history shown of a case."""
_N_HARD: Final = CASES_EACH // 2
_HARD_SHARE: Final = 0.1  # of the silent cases, the most similar: hard ones are drawn from them
_MAX_DESCRIPTION: Final = 400
_MAX_TAGS: Final = 8


@dataclass(frozen=True)
class SurveyOptions:
    """Which concepts are asked about."""

    n: int = 30
    """Concepts that are asked about at most."""
    seed: int = 0
    """Of the choice of concepts and cases, and of their order."""
    min_confidence: float = 0.0
    """Leave out labels with less."""
    trusted_only: bool = False
    """Leave out labels that the machine does not trust."""


@dataclass(frozen=True)
class ShownItem:
    """An item as raters see it."""

    title: str
    year: int | None
    tags: tuple[str, ...]


@dataclass(frozen=True)
class ShownCase:
    """A case as raters see it."""

    case: int
    """Number within the question, from 1."""
    recommended: tuple[ShownItem, ...]
    """Top of the answer, best first."""
    history: tuple[str, ...]
    """Titles of the latest items of the user's history, oldest first; empty where unknown."""


@dataclass(frozen=True)
class ShownQuestion:
    """A concept as raters see it."""

    question: int
    """Number within the survey, from 1."""
    label: str
    description: str
    cases: tuple[ShownCase, ...]


@dataclass(frozen=True)
class Survey:
    """All that raters see."""

    survey_id: str
    """Hash of the questions and of the artifact that they are about, 16 hexadecimal digits."""
    questions: tuple[ShownQuestion, ...]


def make_survey(
    concepts: Sequence[Concept],
    cases: Cases,
    histories: Sequence[Sequence[str]],
    items: Items,
    scale: np.ndarray,
    *,
    artifact: str,
    split: CaseSplit,
    options: SurveyOptions,
) -> tuple[Survey, SurveyKey]:
    """Choose concepts and cases; return what raters see, and the key to it.

    Concepts with a confidence are sorted by it and cut into ``options.n`` strata of equal size;
    one is drawn from each, so that bad labels are asked about as often as they occur. Of each
    concept five firing cases are drawn, one from each fifth of its activation, and five silent
    ones, of which two are among the tenth whose answers are most like the firing ones. As far as
    possible every case is of another user, and no two cases of a question show the same items.

    Args:
        concepts: of one artifact.
        cases: of users that labels were neither made from nor judged on.
        histories: item ids before each case, oldest first.
        items: of the data set.
        scale: float [n_latents], unit of each latent's activation (its 99th percentile).
        artifact: ``concepts/id``.
        split: users that ``cases`` are of.
        options: which concepts.

    Raises:
        InvalidInput: no concept is asked for.
        MissingData: no concept of the wanted confidence fires for enough cases and is silent for
            enough.
    """
    if options.n < 1:
        raise InvalidInput("no concept is asked for.", field="n", remedy="ask for at least one.")
    source = _Source(cases, histories, items, scale, options.seed)
    wanted = [
        (concept, confidence)
        for concept in concepts
        if (confidence := concept.confidence) is not None
        and confidence >= options.min_confidence
        and (concept.trusted or not options.trusted_only)
    ]
    able = [pair for pair in wanted if source.can_ask(pair[0])]
    if not able:
        raise MissingData(
            f"of {len(concepts)} concepts {len(wanted)} have the wanted confidence, and none of "
            f"them has {CASES_EACH} firing and {CASES_EACH} silent cases of {split} users.",
            field="min_confidence" if not wanted else "split",
            remedy="ask for less confidence, or capture with a larger share of these users.",
        )
    rng = np.random.default_rng(options.seed)
    chosen = _stratified(able, options.n, rng)
    questions, keys = [], []
    for number, index in enumerate(rng.permutation(len(chosen)), start=1):
        concept, confidence = chosen[index]
        rows, values = source.draw(concept)
        shown = tuple(source.shown(row, place) for place, row in enumerate(rows, start=1))
        questions.append(
            ShownQuestion(number, clean(concept.label, MAX_TITLE), _description(concept), shown)
        )
        keys.append(
            KeyQuestion(
                question=number,
                concept_id=concept.concept_id,
                latents=concept.latents,
                label=concept.label,
                confidence=confidence,
                trusted=concept.trusted,
                cases=tuple(
                    KeyCase(
                        case=place,
                        fires=bool(values[row] > 0),
                        activation=float(values[row]),
                        user_id=str(cases.user_ids[row]),
                    )
                    for place, row in enumerate(rows, start=1)
                ),
            )
        )
    content = {"concepts": artifact, "questions": [asdict(one) for one in questions]}
    survey_id = sha256_hex(canonical_json(content))[:16]
    key = SurveyKey(
        survey_id=survey_id,
        concepts=artifact,
        split=split,
        seed=options.seed,
        questions=tuple(keys),
    )
    return Survey(survey_id, tuple(questions)), key


def _stratified(
    able: Sequence[tuple[Concept, float]], n: int, rng: np.random.Generator
) -> list[tuple[Concept, float]]:
    ordered = sorted(able, key=lambda pair: (pair[1], pair[0].concept_id))
    strata = np.array_split(np.arange(len(ordered)), min(n, len(ordered)))
    return [ordered[int(rng.choice(stratum))] for stratum in strata]


def _description(concept: Concept) -> str:
    """What the label says, without how often it is right, which would tell the confidence, and
    without who gave it."""
    if concept.source == "keywords":
        keywords = " or ".join(concept.keywords) or concept.label
        return clean(f"What is recommended here: {keywords}.", _MAX_DESCRIPTION)
    if concept.source == HUMAN:
        return clean(concept.description.rpartition(CREDIT)[0], _MAX_DESCRIPTION)
    return clean(concept.description, _MAX_DESCRIPTION)


class _Source:
    """Cases with distinct answers, to draw from."""

    def __init__(
        self,
        cases: Cases,
        histories: Sequence[Sequence[str]],
        items: Items,
        scale: np.ndarray,
        seed: int,
    ) -> None:
        self._cases = cases
        self._histories = histories
        self._items = items
        self._index = {item_id: index for index, item_id in enumerate(items.ids)}
        self._scale = np.where(scale > 0, scale, 1.0)
        self._seed = seed
        self._answers = cases.item_weights(len(items))
        # Of cases that look alike to a rater one is kept: with both sides of it in one question
        # no answer could be right.
        order = np.random.default_rng(seed).permutation(len(cases))
        tops = cases.top_items[order, :ANSWER_SHOWN]
        _, first = np.unique(tops, axis=0, return_index=True)
        self._distinct = np.sort(order[first])

    def can_ask(self, concept: Concept) -> bool:
        firing = int((self._values(concept)[self._distinct] > 0).sum())
        return firing >= CASES_EACH and len(self._distinct) - firing >= CASES_EACH

    def draw(self, concept: Concept) -> tuple[list[int], np.ndarray]:
        """Rows in the order to show, and the activation in all cases."""
        rng = np.random.default_rng([self._seed, *concept.latents])
        values = self._values(concept)
        fires = values[self._distinct] > 0
        firing = self._one_per_user(self._distinct[fires], CASES_EACH, rng)
        ordered = firing[np.argsort(values[firing], kind="stable")]
        positives = [int(rng.choice(part)) for part in np.array_split(ordered, CASES_EACH)]

        silent = self._distinct[~fires]
        profile = self._answers.T @ values
        similarity = np.asarray(self._answers[silent] @ profile).ravel()
        n_pool = max(_N_HARD, math.ceil(_HARD_SHARE * len(silent)))
        pool = silent[np.argsort(-similarity, kind="stable")[:n_pool]]
        hard = rng.choice(self._one_per_user(pool, _N_HARD, rng), size=_N_HARD, replace=False)
        rest = np.setdiff1d(silent, hard)
        n_easy = CASES_EACH - _N_HARD
        easy = rng.choice(self._one_per_user(rest, n_easy, rng), size=n_easy, replace=False)
        return rng.permutation(np.concatenate([positives, hard, easy])).tolist(), values

    def shown(self, row: int, place: int) -> ShownCase:
        tops = self._cases.top_items[row, :ANSWER_SHOWN]
        known = (self._index.get(item_id) for item_id in self._histories[row][-HISTORY_SHOWN:])
        return ShownCase(
            case=place,
            recommended=tuple(self._item(int(item)) for item in tops if item >= 0),
            history=tuple(self._item(item).title for item in known if item is not None),
        )

    def _item(self, item: int) -> ShownItem:
        items = self._items
        tags = (clean(tag, MAX_TERM) for tag in items.tags[item][:_MAX_TAGS])
        year = items.years[item]
        return ShownItem(
            item_name(items, item),
            None if year is None else int(year),
            tuple(filter(None, tags)),
        )

    def _values(self, concept: Concept) -> np.ndarray:
        return strongest_activation(self._cases.by_latent, concept.latents, self._scale)

    def _one_per_user(self, rows: np.ndarray, least: int, rng: np.random.Generator) -> np.ndarray:
        """One row of each user, drawn at random; all rows where that leaves fewer than least."""
        shuffled = rng.permutation(rows)
        users = self._cases.user_ids[shuffled].astype(str)
        _, first = np.unique(users, return_index=True)
        return np.sort(shuffled[first]) if len(first) >= least else rows
