"""Which items carry a concept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from time import sleep
from typing import Any

import numpy as np
import pyarrow.compute as pc

from reclens.concepts.catalog.concepts import ConceptIndex
from reclens.concepts.catalog.items import ItemCatalog
from reclens.concepts.evidence.item_text import (
    LITTLE_KNOWN,
    MAX_TERM,
    MAX_TITLE,
    POPULAR,
    clean,
    item_terms,
)

_MAX_KNOWN = 100_000
"""Items of which something is kept ready; a catalogue may have millions."""
_MAX_TESTED = 1_000_000
"""Tests of items that are kept, of all concepts together."""
_MAX_LOOKED_AT = 50_000
"""Items whose titles are read for one list of carriers."""
_PAUSE_EVERY, _PAUSE_SECONDS = 20, 1e-4
"""A thread that reads items lets the event loop have its turn about every millisecond."""
_QUOTED = re.compile(r"“(.+)”")
_TIME = re.compile(r"(?:(.+) )?(\d{1,4})(s?)")


class ConceptCarriers:
    """Tells whether an item carries a concept: all terms of its label.

    Where a concept has evidence, but none of it carries all terms (a label in a person's own words,
    say), the items that are its evidence carry it. Terms are read from items when they are first
    asked for.
    """

    def __init__(self, items: ItemCatalog, concepts: ConceptIndex) -> None:
        self._items = items
        self._concepts = concepts
        self._terms = frozenset(term for one in concepts.concepts for term in one.keywords)
        self._terms_of = lru_cache(_MAX_KNOWN)(self._read_terms)
        self._carries: dict[str, Callable[[int], bool]] = {}

    def count(self, concept_id: str, rows: Iterable[int]) -> int:
        """How many of these items carry a concept."""
        carries = self._carries.get(concept_id)
        if carries is None:
            most = _MAX_TESTED // len(self._concepts.concepts)
            carries = self._carries[concept_id] = lru_cache(most)(self._test(concept_id))
        return sum(map(carries, rows))

    def popular(self, concept_id: str, most: int) -> list[int]:
        """Rows of items that carry a concept, the more popular ones first, at most ``most``.

        Of words in titles only the more popular items that may have them are looked at. Takes a
        while with a large catalogue: to be called in a thread of its own.
        """
        wanted, evidence = self._told_by(concept_id)
        if not wanted:
            return self._by_popularity(np.array(sorted(evidence), np.int64))[:most].tolist()
        # Names that were cut for the label, and ids that stand for names, are in no column.
        named = [row for row in evidence if wanted <= self._terms_of(row)]
        rows = np.union1d(self._may_carry(sorted(wanted)), np.array(named, np.int64))
        candidates = self._by_popularity(rows)
        if not any(map(_QUOTED.fullmatch, wanted)):
            return candidates[:most].tolist()
        found: list[int] = []
        for place, row in enumerate(candidates[:_MAX_LOOKED_AT].tolist()):
            if place % _PAUSE_EVERY == 0:
                sleep(_PAUSE_SECONDS)
            if wanted <= self._read_terms(row):
                found.append(row)
                if len(found) == most:
                    break
        return found

    def _test(self, concept_id: str) -> Callable[[int], bool]:
        wanted, evidence = self._told_by(concept_id)
        return (lambda row: wanted <= self._terms_of(row)) if wanted else evidence.__contains__

    def _told_by(self, concept_id: str) -> tuple[frozenset[str], frozenset[int]]:
        """Terms of items that carry a concept, none where its evidence alone does; the evidence."""
        concept = self._concepts.get(concept_id, field="concept_id")
        found = map(self._items.find, concept.evidence_items)
        evidence = frozenset(row for row in found if row is not None)
        wanted = frozenset(concept.keywords)
        if evidence and not any(wanted <= self._terms_of(row) for row in evidence):
            wanted = frozenset[str]()
        return wanted, evidence

    def _read_terms(self, row: int) -> frozenset[str]:
        """Those of an item that are in some label. Its name is one: labels may be of one item."""
        entry = self._items.entry(row)
        terms = item_terms(entry.title, entry.tags, entry.year, self._items.standing(row))
        texts = {term.text for term in terms}
        texts.add(clean(entry.title, MAX_TITLE) or clean(entry.item_id, MAX_TITLE))
        return self._terms.intersection(texts)

    def _by_popularity(self, rows: np.ndarray) -> np.ndarray:
        return rows[np.argsort(-self._items.popularity[rows], kind="stable")]

    def _may_carry(self, terms: Sequence[str]) -> np.ndarray:
        """Rows of items that carry these terms, found by column; of words, those that may."""
        rows = self._may_have(terms[0])
        for term in terms[1:]:
            rows = np.intersect1d(rows, self._may_have(term), assume_unique=True)
        return rows

    def _may_have(self, term: str) -> np.ndarray:
        """By what terms are made of, see `item_terms`."""
        items = self._items
        # What Arrow computes with is made when it is imported; type checkers do not see it.
        compute: Any = pc
        if quoted := _QUOTED.fullmatch(term):
            return _rows(compute.match_substring(items.titles, quoted[1], ignore_case=True))
        found = [self._tagged(term), _rows(compute.equal(items.titles, term))]
        if time := _TIME.fullmatch(term):
            tags, year, decade = time.groups()
            of_time = items.years // 10 * 10 == int(year) if decade else items.years == int(year)
            rows = np.flatnonzero(of_time)
            found.append(np.intersect1d(rows, self._tagged(tags)) if tags else rows)
        for standing in (POPULAR, LITTLE_KNOWN):
            if term.startswith(standing):
                rows, tag = items.standing_rows(standing), term[len(standing) + 1 :]
                found.append(np.intersect1d(rows, self._tagged(tag)) if tag else rows)
        return np.unique(np.concatenate(found))

    def _tagged(self, text: str) -> np.ndarray:
        """Rows of items with a tag of this text, or with the two that make it up."""
        tagged, by_text = self._items.tagged, self._tags_by_text
        found = [tagged(by_text.get(text, ()))]
        for space in (place for place, character in enumerate(text) if character == " "):
            first, second = by_text.get(text[:space]), by_text.get(text[space + 1 :])
            if first and second:
                found.append(np.intersect1d(tagged(first), tagged(second)))
        return np.unique(np.concatenate(found))

    @cached_property
    def _tags_by_text(self) -> dict[str, list[str]]:
        by_text: dict[str, list[str]] = {}
        for tag in self._items.tags:
            by_text.setdefault(clean(tag, MAX_TERM), []).append(tag)
        return by_text


def _rows(mask: Any) -> np.ndarray:
    return np.flatnonzero(mask.fill_null(False).to_numpy())
