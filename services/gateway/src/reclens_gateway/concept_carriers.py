"""Which items carry a concept."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reclens.concepts.item_terms import item_terms
from reclens.concepts.text import MAX_TITLE, clean
from reclens_gateway.concept_index import ConceptIndex
from reclens_gateway.item_catalog import ItemCatalog

_MAX_KNOWN = 100_000
"""Items of which something is kept ready; a catalogue may have millions."""


class _Known(dict[int, bool]):
    """Whether items carry one concept, tested when first asked for."""

    def __init__(self, test: Callable[[int], bool]) -> None:
        super().__init__()
        self._test = test

    def __missing__(self, row: int) -> bool:
        if len(self) >= _MAX_KNOWN:
            self.clear()
        carries = self[row] = self._test(row)
        return carries


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
        self._of_item: dict[int, frozenset[str]] = {}
        self._known: dict[str, _Known] = {}

    def count(self, concept_id: str, rows: Iterable[int]) -> int:
        """How many of these items carry a concept."""
        known = self._known.get(concept_id)
        if known is None:
            known = self._known[concept_id] = _Known(self._test(concept_id))
        return sum(map(known.__getitem__, rows))

    def _test(self, concept_id: str) -> Callable[[int], bool]:
        concept = self._concepts.get(concept_id, field="concept_id")
        wanted = frozenset(concept.keywords)
        found = map(self._items.find, concept.evidence_items)
        evidence = frozenset(row for row in found if row is not None)
        told = bool(wanted) and any(wanted <= self._terms_of(row) for row in evidence)
        if told or (wanted and not evidence):
            return lambda row: wanted <= self._terms_of(row)
        return evidence.__contains__

    def _terms_of(self, row: int) -> frozenset[str]:
        """Those of an item that are in some label. Its name is one: labels may be of one item."""
        found = self._of_item.get(row)
        if found is None:
            if len(self._of_item) >= _MAX_KNOWN:
                self._of_item.clear()
            entry = self._items.entry(row)
            terms = item_terms(entry.title, entry.tags, entry.year, self._items.standing(row))
            texts = {term.text for term in terms}
            texts.add(clean(entry.title, MAX_TITLE) or clean(entry.item_id, MAX_TITLE))
            found = self._of_item[row] = self._terms.intersection(texts)
        return found
