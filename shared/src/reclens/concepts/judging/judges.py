"""Judges: from a label alone they say in which cases its latent fires.

An `ItemScorer` says how well each item fits a label; a `Judge` is one of them at work on held-out
cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock

import numpy as np

from reclens.concepts.evidence.keywords import KeywordLabel, keyword_item_scores
from reclens.concepts.evidence.vocabulary import Vocabulary
from reclens.concepts.judging.confidence import (
    CONSTRUCT,
    VERIFY,
    HeldOutCases,
    SideIndex,
    best_threshold,
    measure_confidence,
)
from reclens.contracts import JudgeName
from reclens.contracts.tables.concepts import Judgement


@dataclass(frozen=True)
class Statement:
    """All that a judge is told of a latent."""

    text: str
    """The label in words."""
    keywords: KeywordLabel | None = None
    """Its label in terms of the vocabulary; None where it has none, e.g. in a model's own words."""


ItemScorer = Callable[[Statement], np.ndarray | None]
"""Tells how well each item fits a statement, float64 [n_items]; None: it cannot read it.

It depends on nothing but the statement, so that the same label judges alike. Safe to share between
threads."""


def keyword_scorer(vocabulary: Vocabulary, inverse_frequency: np.ndarray) -> ItemScorer:
    """Knows which item carries which term, see `keyword_item_scores`.

    Args:
        vocabulary: terms of the data set.
        inverse_frequency: float64 [n_terms], see `TermStatistics`.
    """

    def score(statement: Statement) -> np.ndarray | None:
        if statement.keywords is None:
            return None
        return keyword_item_scores(statement.keywords, vocabulary, inverse_frequency)

    return score


Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to vectors: float [n, width], of length 1."""


def embedding_scorer(embed: Embed, item_texts: Sequence[str]) -> ItemScorer:
    """Knows the cosine of a label's vector and that of the description of an item, as sentences.

    Args:
        embed: the model.
        item_texts: a description of each item, see `describe_items`.
    """
    items = embed(item_texts).astype(np.float64)
    vector_of = cache(lambda text: embed([text])[0].astype(np.float64))
    lock = Lock()

    def score(statement: Statement) -> np.ndarray:
        with lock:
            vector = vector_of(statement.text)
        return items @ vector

    return score


# Streams of random numbers, one per purpose and latent or concept.
JUDGED, PAPER, CONCEPT, SHUFFLE = range(4)


class Judge:
    """Says from a label alone which cases fire a latent. Safe to share between threads.

    Args:
        name: which judge it is.
        item_scores: what the label says for each item.
        cases: of both divisions of users.
        n_judged: firing cases of a judgement at most, and as many silent ones.
    """

    def __init__(
        self, name: JudgeName, item_scores: ItemScorer, cases: HeldOutCases, *, n_judged: int
    ) -> None:
        self.name: JudgeName = name
        """Which judge it is."""
        self._item_scores = item_scores
        self._cases = cases
        self._n_judged = n_judged

    def case_scores(self, side: SideIndex, statement: Statement) -> np.ndarray | None:
        """What each case scores by the label, float64 [n_cases]; None: it cannot be read."""
        item_scores = self._item_scores(statement)
        return None if item_scores is None else self._cases.scores(side, item_scores)

    def threshold(self, latent: int, statement: Statement) -> float | None:
        """Score from which it says that the latent fires, fixed on the construct users; None where
        it cannot read the label."""
        return self._threshold([latent], statement, [JUDGED, latent])

    def judge_latent(self, latent: int, statement: Statement, threshold: float) -> Judgement | None:
        """What the label is worth for one latent; None where it cannot be measured or read.

        Args:
            latent: whose verification cases are asked about.
            statement: its label, or as a control another one's.
            threshold: that was fixed for the label.
        """
        return self._judge([latent], statement, threshold, [JUDGED, latent])

    def judge_concept(self, latents: Sequence[int], statement: Statement) -> Judgement | None:
        """What it is worth for a concept, which fires where any of its latents does."""
        stream = [CONCEPT, *latents]
        threshold = self._threshold(latents, statement, stream)
        return None if threshold is None else self._judge(latents, statement, threshold, stream)

    def shuffled(self, judged: Mapping[int, tuple[Statement, float]]) -> dict[int, Judgement]:
        """What the judge achieves on each judged latent's own cases with another one's label.

        Labels and their thresholds move on by one place in a random order, so that no latent
        keeps its own. The cases are the very ones that its own label was judged on.

        Args:
            judged: by latent, in rising order: its label, and the threshold that was fixed for it.
        """
        order = self._cases.rng([SHUFFLE]).permutation(list(judged))
        results: dict[int, Judgement] = {}
        for latent, other in zip(order.tolist(), np.roll(order, 1).tolist(), strict=True):
            found = self.judge_latent(latent, *judged[other])
            if found is not None and latent != other:
                results[latent] = found
        return results

    def _threshold(
        self, latents: Sequence[int], statement: Statement, stream: list[int]
    ) -> float | None:
        scores = self.case_scores(CONSTRUCT, statement)
        if scores is None:
            return None
        asked = self._cases.sample(CONSTRUCT, latents, self._n_judged, stream)
        return best_threshold(scores[asked.rows], asked.fires)

    def _judge(
        self, latents: Sequence[int], statement: Statement, threshold: float, stream: list[int]
    ) -> Judgement | None:
        scores = self.case_scores(VERIFY, statement)
        if scores is None:
            return None
        return measure_confidence(
            self.name,
            scores,
            self._cases.values(VERIFY, latents),
            threshold,
            judged=self._cases.sample(VERIFY, latents, self._n_judged, stream),
            rng=self._cases.rng([PAPER, *stream]),
        )
