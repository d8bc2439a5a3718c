"""Judges: from a label alone they say in which cases its latent fires.

An `ItemScorer` says how well each item fits a label; a `Judge` is one of them at work on held-out
cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np

from reclens.concepts.evidence.keywords import KeywordLabel, keyword_item_scores
from reclens.concepts.evidence.vocabulary import Vocabulary
from reclens.concepts.judging.confidence import (
    CONSTRUCT,
    VERIFY,
    Confidence,
    HeldOutCases,
    SideIndex,
    best_threshold,
    measure_confidence,
)
from reclens.contracts import JudgeName


@dataclass(frozen=True)
class Statement:
    """All that a judge is told of a latent."""

    text: str
    """The label in words."""
    keywords: KeywordLabel | None = None
    """Its label in terms of the vocabulary; None where it has none, e.g. in a model's own words."""


class ItemScorer(Protocol):
    """Turns a statement into a score for every item. Safe to share between threads."""

    @property
    def name(self) -> JudgeName:
        """Name of the judge that it makes."""
        ...

    def item_scores(self, statement: Statement) -> np.ndarray | None:
        """How well each item fits the statement, float64 [n_items]; None: it cannot read it.

        It depends on nothing but the statement, so that the same label judges alike.
        """
        ...


class KeywordScorer:
    """Knows which item carries which term, see `keyword_item_scores`.

    Args:
        vocabulary: terms of the data set.
        inverse_frequency: float64 [n_terms], see `TermStatistics`.
    """

    name: JudgeName = "keywords"

    def __init__(self, vocabulary: Vocabulary, inverse_frequency: np.ndarray) -> None:
        self._vocabulary = vocabulary
        self._inverse = inverse_frequency

    def item_scores(self, statement: Statement) -> np.ndarray | None:
        """Sum of the inverse frequencies of the label's terms that the item carries."""
        if statement.keywords is None:
            return None
        return keyword_item_scores(statement.keywords, self._vocabulary, self._inverse)


Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to vectors: float [n, width], of length 1."""


class EmbeddingScorer:
    """Knows how alike a label and the description of an item are as sentences.

    Args:
        embed: the model.
        item_texts: a description of each item, see `describe_items`.
    """

    name: JudgeName = "embedding"

    def __init__(self, embed: Embed, item_texts: Sequence[str]) -> None:
        self._embed = embed
        self._items = embed(item_texts).astype(np.float64)
        self._known: dict[str, np.ndarray] = {}
        self._lock = Lock()

    def item_scores(self, statement: Statement) -> np.ndarray | None:
        """Cosine of the label's and the item's vector."""
        with self._lock:
            vector = self._known.get(statement.text)
            if vector is None:
                vector = self._embed([statement.text])[0].astype(np.float64)
                self._known[statement.text] = vector
        return self._items @ vector


# Streams of random numbers, one per purpose and latent or concept.
JUDGED, PAPER, CONCEPT, SHUFFLE = range(4)


@dataclass(frozen=True)
class JudgedStatement:
    """A statement with the threshold that was fixed for it."""

    statement: Statement
    """What the judge was told of the latent."""
    threshold: float
    """Score from which it says that the latent fires."""


class Judge:
    """Says from a label alone which cases fire a latent. Safe to share between threads.

    Args:
        reader: what the label says for each item.
        cases: of both divisions of users.
        n_judged: firing cases of a judgement at most, and as many silent ones.
    """

    def __init__(self, reader: ItemScorer, cases: HeldOutCases, *, n_judged: int) -> None:
        self._reader = reader
        self._cases = cases
        self._n_judged = n_judged

    @property
    def name(self) -> JudgeName:
        """Which judge it is."""
        return self._reader.name

    def case_scores(self, side: SideIndex, statement: Statement) -> np.ndarray | None:
        """What each case scores by the label, float64 [n_cases]; None: it cannot be read."""
        item_scores = self._reader.item_scores(statement)
        return None if item_scores is None else self._cases.scores(side, item_scores)

    def judge_latent(self, latent: int, statement: Statement) -> Confidence | None:
        """What the label is worth for one latent; None where it cannot be measured or read."""
        return self._judge([latent], statement, [JUDGED, latent])

    def judge_concept(self, latents: Sequence[int], statement: Statement) -> Confidence | None:
        """What it is worth for a concept, which fires where any of its latents does."""
        return self._judge(latents, statement, [CONCEPT, *latents])

    def shuffled(self, judged: Mapping[int, JudgedStatement]) -> dict[int, Confidence]:
        """What the judge achieves on each judged latent's own cases with another one's label.

        Labels and their thresholds move on by one place in a random order, so that no latent
        keeps its own. The cases are the very ones that its own label was judged on.

        Args:
            judged: by latent, in rising order.
        """
        order = self._cases.rng([SHUFFLE]).permutation(list(judged))
        results: dict[int, Confidence] = {}
        for latent, other in zip(order.tolist(), np.roll(order, 1).tolist(), strict=True):
            if latent == other:
                continue
            borrowed = judged[other]
            found = self._on_verify(
                [latent], borrowed.statement, borrowed.threshold, [JUDGED, latent]
            )
            if found is not None:
                results[latent] = found
        return results

    def _judge(
        self, latents: Sequence[int], statement: Statement, stream: list[int]
    ) -> Confidence | None:
        scores = self.case_scores(CONSTRUCT, statement)
        if scores is None:
            return None
        asked = self._cases.sample(CONSTRUCT, latents, self._n_judged, stream)
        threshold = best_threshold(scores[asked.rows], asked.fires)
        return self._on_verify(latents, statement, threshold, stream)

    def _on_verify(
        self, latents: Sequence[int], statement: Statement, threshold: float, stream: list[int]
    ) -> Confidence | None:
        scores = self.case_scores(VERIFY, statement)
        if scores is None:
            return None
        return measure_confidence(
            scores,
            self._cases.values(VERIFY, latents),
            threshold,
            self._cases.sample(VERIFY, latents, self._n_judged, stream),
            self._cases.rng([PAPER, *stream]),
        )
