"""What can be said of an item: its tags, its time, its popularity, its title, and pairs of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import combinations

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from reclens.concepts.text import MAX_TERM, MAX_TITLE, clean
from reclens.data.dataset import Items

MAX_TERMS = 20_000
"""Terms of a vocabulary; beyond them the rarest of the longest kinds are left out."""
POPULAR = "Popular"
"""Of the most interacted-with items, which together have a third of all interactions."""
LITTLE_KNOWN = "Little known"
"""Of the least interacted-with items, which together have a tenth of all interactions."""

_POPULAR_SHARE, _LITTLE_KNOWN_SHARE = 1 / 3, 0.1
_MAX_TAGS = 32
_MAX_PAIRED_TAGS = 8
_WORD = re.compile(r"[^\W\d_]{3,}")
# What follows the name of a series: a subtitle, or the number of a part.
_SUBTITLE = re.compile(r"\s*(?::|\s-\s).*$")
_PART = re.compile(r",?\s+(?:part\s+)?(?:\d{1,2}|[ivx]{1,4})$", re.IGNORECASE)
# Articles and prepositions of other languages that are frequent in titles.
_FOREIGN = frozenset(
    ["les", "une", "des", "der", "die", "das", "und", "auf", "von", "los", "las", "del", "della"]
)


class TermKind(IntEnum):
    """Simplest first: between equals the simpler term names a latent."""

    TAG = 0
    DECADE = 1
    POPULARITY = 2
    YEAR = 3
    TAG_DECADE = 4
    TAG_PAIR = 5
    TAG_YEAR = 6
    TAG_POPULARITY = 7
    TAG_PAIR_DECADE = 8
    SERIES = 9
    WORD = 10


@dataclass(frozen=True, order=True)
class Term:
    """A statement that is true of some items."""

    kind: TermKind
    """What it was taken from."""
    text: str
    """As shown, e.g. ``Film-Noir``, ``1940s``, ``Film-Noir 1940s``; words and series carry
    quotes."""


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

    Items without tags, year, title or interactions simply carry fewer terms.
    """
    standing = popularity_standing(items.popularity)
    of_item = [
        _terms(title, tags, year, popular)
        for title, tags, year, popular in zip(
            items.titles, items.tags, items.years, standing, strict=True
        )
    ]
    terms = _kept(Counter(term for terms in of_item for term in terms), len(of_item), min_items)
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


def popularity_standing(popularity: np.ndarray) -> list[str]:
    """`POPULAR`, `LITTLE_KNOWN` or nothing for each item.

    Where all items are equally popular, none is either.

    Args:
        popularity: int [n_items], interactions.
    """
    counts = np.asarray(popularity, np.float64)
    total = counts.sum()
    standing = np.full(len(counts), "", object)
    if total <= 0 or counts.max() == counts.min():
        return standing.tolist()
    levels, of_item, numbers = np.unique(counts, return_inverse=True, return_counts=True)
    # Items of one popularity stand together: up to and including each level, rising.
    up_to = np.cumsum(levels * numbers) / total
    standing[(up_to <= _LITTLE_KNOWN_SHARE)[of_item]] = LITTLE_KNOWN
    above = 1 - up_to + levels * numbers / total
    standing[(above <= _POPULAR_SHARE)[of_item]] = POPULAR
    return standing.tolist()


def _kept(counts: Counter[Term], n_items: int, min_items: int) -> list[Term]:
    frequent = [term for term, count in counts.items() if min_items <= count < max(n_items, 2)]
    if len(frequent) > MAX_TERMS:
        frequent.sort(key=lambda term: (_is_long(term), -counts[term], term))
    return sorted(frequent[:MAX_TERMS])


def _is_long(term: Term) -> bool:
    return TermKind.TAG_DECADE <= term.kind <= TermKind.TAG_PAIR_DECADE


def _terms(title: str, tags: list[str], year: int | None, popular: str) -> set[Term]:
    named = sorted({cleaned for tag in tags[:_MAX_TAGS] if (cleaned := clean(tag, MAX_TERM))})
    pairs = [f"{first} {second}" for first, second in combinations(named[:_MAX_PAIRED_TAGS], 2)]
    terms = set(_all(TermKind.TAG, named)) | set(_all(TermKind.TAG_PAIR, pairs))
    if popular:
        terms.add(Term(TermKind.POPULARITY, popular))
        terms |= set(_all(TermKind.TAG_POPULARITY, (f"{popular} {tag}" for tag in named)))
    if year is not None:
        decade = f"{year // 10 * 10}s"
        terms |= {Term(TermKind.DECADE, decade), Term(TermKind.YEAR, f"{year}")}
        terms |= set(_all(TermKind.TAG_DECADE, (f"{tag} {decade}" for tag in named)))
        terms |= set(_all(TermKind.TAG_YEAR, (f"{tag} {year}" for tag in named)))
        terms |= set(_all(TermKind.TAG_PAIR_DECADE, (f"{pair} {decade}" for pair in pairs)))
    return terms | _of_title(clean(title, MAX_TITLE))


def _all(kind: TermKind, texts: Iterable[str]) -> Iterable[Term]:
    return (Term(kind, text) for text in texts)


def _of_title(title: str) -> set[Term]:
    words = {word.casefold() for word in _WORD.findall(title)}
    terms = {
        Term(TermKind.WORD, f"“{word}”")
        for word in words
        if word not in ENGLISH_STOP_WORDS and word not in _FOREIGN
    }
    series = _PART.sub("", _SUBTITLE.sub("", title)).strip()
    # A name of one word is among the words already.
    if " " in series:
        terms.add(Term(TermKind.SERIES, f"“{series}”"))
    return terms
