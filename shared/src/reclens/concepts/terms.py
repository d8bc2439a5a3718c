"""What can be said of an item: its tags, its time, its popularity, its title, and pairs of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
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


@dataclass(frozen=True)
class TagStatement:
    """What a term with tags says of an item, taken apart: all of it has to be true."""

    tags: frozenset[str]
    """Tags that the item has, cleaned as terms are."""
    years: range | None
    """Years of which one is the item's; None where the term tells no time."""
    standing: str
    """`POPULAR`, `LITTLE_KNOWN`, or nothing where the term tells no standing."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Terms of a data set."""

    terms: list[Term]
    """Sorted by kind, then text."""
    membership: sparse.csr_matrix
    """float64 0/1 [n_items, n_terms]: which item carries which term."""

    def __len__(self) -> int:
        return len(self.terms)

    @cached_property
    def columns(self) -> dict[str, int]:
        """Column by text. Where two kinds read alike it is that of the simpler one."""
        return {term.text: column for column, term in reversed(list(enumerate(self.terms)))}

    def carriers(self, column: int) -> np.ndarray:
        """Items that carry a term, int32, rising."""
        inside = slice(self._by_term.indptr[column], self._by_term.indptr[column + 1])
        return self._by_term.indices[inside]

    @cached_property
    def _by_term(self) -> sparse.csc_matrix:
        by_term = sparse.csc_matrix(self.membership)
        by_term.sort_indices()
        return by_term


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


def tag_statements(
    vocabulary: Vocabulary, texts: Collection[str], items: Items
) -> dict[str, frozenset[TagStatement]]:
    """What terms with tags say, taken apart as the items' own terms were put together.

    That is one statement, but for tags that join to the same words: of ``a b`` with ``c`` and of
    ``a`` with ``b c`` the term is true of the items of either.

    Args:
        vocabulary: of ``items``.
        texts: of the terms.
        items: that the vocabulary was made of.

    Returns:
        By text; none for a text that is no term, or one without tags.
    """
    columns = vocabulary.columns
    kinds = {text: vocabulary.terms[columns[text]].kind for text in texts if text in columns}
    found: dict[str, set[TagStatement]] = {}
    standings = popularity_standing(items.popularity)
    for tags, year, standing in zip(items.tags, items.years, standings, strict=True):
        for kind, text, parts in _of_tags(_named(tags), year, standing):
            if kinds.get(text) == kind:
                told = standing if kind == TermKind.TAG_POPULARITY else ""
                statement = TagStatement(frozenset(parts), _years(kind, year), told)
                found.setdefault(text, set()).add(statement)
    return {text: frozenset(statements) for text, statements in found.items()}


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


def _years(kind: TermKind, year: int | None) -> range | None:
    if year is not None and kind == TermKind.TAG_YEAR:
        return range(year, year + 1)
    if year is not None and kind in {TermKind.TAG_DECADE, TermKind.TAG_PAIR_DECADE}:
        return range(year // 10 * 10, year // 10 * 10 + 10)
    return None


def _terms(title: str, tags: list[str], year: int | None, popular: str) -> set[Term]:
    terms = {Term(kind, text) for kind, text, _ in _of_tags(_named(tags), year, popular)}
    if popular:
        terms.add(Term(TermKind.POPULARITY, popular))
    if year is not None:
        terms |= {Term(TermKind.DECADE, _decade(year)), Term(TermKind.YEAR, f"{year}")}
    return terms | _of_title(clean(title, MAX_TITLE))


def _named(tags: list[str]) -> list[str]:
    return sorted({cleaned for tag in tags[:_MAX_TAGS] if (cleaned := clean(tag, MAX_TERM))})


def _decade(year: int) -> str:
    return f"{year // 10 * 10}s"


def _of_tags(
    named: list[str], year: int | None, popular: str
) -> Iterator[tuple[TermKind, str, tuple[str, ...]]]:
    """Kind and text of the terms with tags, and the tags."""
    for tag in named:
        yield TermKind.TAG, tag, (tag,)
        if popular:
            yield TermKind.TAG_POPULARITY, f"{popular} {tag}", (tag,)
        if year is not None:
            yield TermKind.TAG_DECADE, f"{tag} {_decade(year)}", (tag,)
            yield TermKind.TAG_YEAR, f"{tag} {year}", (tag,)
    for pair in combinations(named[:_MAX_PAIRED_TAGS], 2):
        text = " ".join(pair)
        yield TermKind.TAG_PAIR, text, pair
        if year is not None:
            yield TermKind.TAG_PAIR_DECADE, f"{text} {_decade(year)}", pair


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
