"""The terms of a data set, and which of its items carries which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from reclens.concepts.evidence.item_text import (
    Term,
    TermKind,
    clean_tags,
    item_terms,
    popularity_standing,
    terms_of_tags,
)
from reclens.data.dataset import Items

MAX_TERMS = 20_000
"""Terms of a vocabulary; beyond them the rarest of the longest kinds are left out."""

# Beside English stop words, articles and prepositions of other languages, frequent in titles.
_SILENT_WORDS = ENGLISH_STOP_WORDS.union(
    ["les", "une", "des", "der", "die", "das", "und", "auf", "von", "los", "las", "del", "della"]
)


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
        _said(title, tags, year, popular)
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
        for kind, text, parts in terms_of_tags(clean_tags(tags), year, standing):
            if kinds.get(text) == kind:
                told = standing if kind == TermKind.TAG_POPULARITY else ""
                statement = TagStatement(frozenset(parts), _years(kind, year), told)
                found.setdefault(text, set()).add(statement)
    return {text: frozenset(statements) for text, statements in found.items()}


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


def _said(title: str, tags: list[str], year: int | None, standing: str) -> set[Term]:
    """Terms of an item that may say something."""
    return {
        term
        for term in item_terms(title, tags, year, standing)
        if term.kind != TermKind.WORD or term.text[1:-1] not in _SILENT_WORDS
    }
