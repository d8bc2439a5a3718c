"""Readers: what a label, and nothing else, says for each item. A judge is one of them at work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np

from reclens.concepts.evidence.keywords import KeywordLabel, label_vector
from reclens.concepts.evidence.terms import Vocabulary
from reclens.contracts import JudgeName


@dataclass(frozen=True)
class Statement:
    """All that a judge is told of a latent."""

    text: str
    """Its label in words."""
    keywords: KeywordLabel | None = None
    """Its label in terms of the vocabulary; None where it has none, e.g. in a model's own words."""


class Reader(Protocol):
    """Turns a statement into a score for every item. Safe to share between threads."""

    @property
    def name(self) -> JudgeName:
        """Which judge it makes."""
        ...

    def item_scores(self, statement: Statement) -> np.ndarray | None:
        """How well each item fits the statement, float64 [n_items]; None: it cannot read it.

        It depends on nothing but the statement, so that the same label judges alike.
        """
        ...


class KeywordReader:
    """Knows which item carries which term, see `label_vector`.

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
        return label_vector(statement.keywords, self._vocabulary, self._inverse)


Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to vectors: float [n, width], of length 1."""


class EmbeddingReader:
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
