"""What can be said of an item: its tags, its decade, words of its title, and pairs of these."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from itertools import combinations

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from reclens.concepts.text import MAX_TERM, MAX_TITLE, clean
from reclens.data.dataset import Items

_MAX_TAGS = 32
_MAX_PAIRED_TAGS = 8
_WORD = re.compile(r"[^\W\d_]{3,}")
# Articles and prepositions of other languages that are frequent in titles.
_FOREIGN = frozenset(
    ["les", "une", "des", "der", "die", "das", "und", "auf", "von", "los", "las", "del", "della"]
)


class TermKind(IntEnum):
    """Simplest first: between equals the simpler term names a latent."""

    TAG = 0
    DECADE = 1
    TAG_DECADE = 2
    TAG_PAIR = 3
    WORD = 4


@dataclass(frozen=True, order=True)
class Term:
    """A statement that is true of some items."""

    kind: TermKind
    """What it was taken from."""
    text: str
    """As shown, e.g. ``Film-Noir``, ``1940s``, ``Film-Noir 1940s``; words carry quotes."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Terms of a data set."""

    terms: list[Term]
    """Sorted by kind, then text."""
    membership: sparse.csr_matrix
    """float64 0/1 [n_items, n_terms]: which item carries which term."""

    def __len__(self) -> int:
        return len(self.terms)


def build_vocabulary(items: Items, *, min_items: int = 3) -> Vocabulary:
    """Collect the terms that at least ``min_items`` items carry, and not all of them.

    Items without tags, year or title simply carry fewer terms.
    """
    of_item = [
        _terms(title, tags, year)
        for title, tags, year in zip(items.titles, items.tags, items.years, strict=True)
    ]
    counts = Counter(term for terms in of_item for term in terms)
    terms = sorted(
        term for term, count in counts.items() if min_items <= count < max(len(of_item), 2)
    )
    column = {term: index for index, term in enumerate(terms)}
    rows, columns = [], []
    for row, carried in enumerate(of_item):
        for term in carried:
            if (index := column.get(term)) is not None:
                rows.append(row)
                columns.append(index)
    membership = sparse.csr_matrix(
        (np.ones(len(rows)), (rows, columns)), shape=(len(of_item), len(terms))
    )
    membership.sort_indices()
    return Vocabulary(terms, membership)


def _terms(title: str, tags: list[str], year: int | None) -> set[Term]:
    named = sorted({cleaned for tag in tags[:_MAX_TAGS] if (cleaned := clean(tag, MAX_TERM))})
    decade = f"{year // 10 * 10}s" if year is not None else ""
    words = {word.casefold() for word in _WORD.findall(clean(title, MAX_TITLE))}
    terms = {Term(TermKind.TAG, tag) for tag in named}
    if decade:
        terms.add(Term(TermKind.DECADE, decade))
        terms |= {Term(TermKind.TAG_DECADE, f"{tag} {decade}") for tag in named}
    terms |= {
        Term(TermKind.TAG_PAIR, f"{first} {second}")
        for first, second in combinations(named[:_MAX_PAIRED_TAGS], 2)
    }
    return terms | {
        Term(TermKind.WORD, f"“{word}”")
        for word in words
        if word not in ENGLISH_STOP_WORDS and word not in _FOREIGN
    }
