"""Which items a text stands for, by their tags, years, concepts and titles."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from reclens.concepts.catalog.concepts import ConceptIndex
from reclens.concepts.catalog.items import APOSTROPHES, ItemCatalog
from reclens.errors import InvalidInput, NotFound

MAX_ITEMS = 200
"""Items that a text may stand for."""
MIN_ITEMS = 10
"""With fewer items that have all words, those that have fewer words are taken too."""

_WORD = re.compile(r"[^\W_]+")
_SHORT_DECADE, _DECADE, _YEAR = (re.compile(p) for p in (r"\d0s", r"\d{3}0s", r"\d{4}"))
# Words that say nothing of an item, or the same of every one.
_SILENT = frozenset(
    """a about all am an and any are as at be but by for from had has have i in into is it its less
    like me more most my no not of on or our some something such than that the their them then there
    these they this those to want was we were what which who will with you your
    film films item items movie movies stuff thing things""".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class WeightedItems:
    """Items, and how much each counts."""

    rows: list[int]
    """Rows of the items."""
    weights: list[float]
    """One for each, negative for away from it."""
    unmatched: list[str] = field(default_factory=list)
    """Words that nothing was found for, as they were written."""


def match_text(text: str, items: ItemCatalog, concepts: ConceptIndex) -> WeightedItems:
    """The items that a text stands for.

    A word is looked for in tags, decades and years; one that is in none of them among the evidence
    of concepts that have it in their label or keywords; and else in titles. Case, accents and
    plurals do not count. Rarer words weigh more. Items with the most words are taken, up to
    `MAX_ITEMS`, the more popular before others.

    Raises:
        InvalidInput: there is no word in ``text``.
        NotFound: nothing was found for any word.
    """
    written = [word for word in _WORD.findall(_plain(text)) if word not in _SILENT]
    words = {fold(word): word for word in reversed(written)}
    if not words:
        raise InvalidInput(
            "there is no word to look for.", field="text", remedy="say what it should be like."
        )
    found = {word: rows for word in words if len(rows := _by_statement(word, items))}
    found |= _by_concept([word for word in words if word not in found], items, concepts)
    found |= _by_title([word for word in words if word not in found], items)
    unmatched = [words[word] for word in reversed(words) if word not in found]
    if not found:
        raise NotFound(
            f"nothing was found for {', '.join(unmatched)[:200]!r}.",
            field="text",
            remedy="use words of tags, titles or concept labels, see SearchConcepts.",
        )
    return _chosen(found, items, unmatched)


def fold(word: str) -> str:
    """A word without what its plural adds; numbers as they are.

    Both sides are folded alike, so that it need not be a word.
    """
    if word[0].isdigit() or len(word) < 4:
        return word
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    return word[:-2] + "y" if word.endswith("ie") else word


def _plain(text: str) -> str:
    """Without case, accents and apostrophes."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(ch for ch in apart if not unicodedata.combining(ch) and ch not in APOSTROPHES)


def _folded(text: str) -> set[str]:
    """All words of a text, and, of one with a hyphen or so, its words as one."""
    words = _WORD.findall(_plain(text))
    return {fold(word) for word in words} | {fold("".join(words))} if words else set()


def _by_statement(word: str, items: ItemCatalog) -> np.ndarray:
    """Rows of items that have a word in a tag, or of that year or decade."""
    rows = items.tagged(tag for tag in items.tags if word in _folded(tag))
    years = items.years
    if _DECADE.fullmatch(word):
        return np.union1d(rows, np.flatnonzero(years // 10 * 10 == int(word[:4])))
    if _SHORT_DECADE.fullmatch(word):
        # Of two centuries the later one that items are of.
        decades = np.unique(years[years > 0] // 10 * 10)
        same = decades[decades % 100 == int(word[:2])]
        if len(same):
            return np.union1d(rows, np.flatnonzero(years // 10 * 10 == same[-1]))
    if _YEAR.fullmatch(word):
        return np.union1d(rows, np.flatnonzero(years == int(word)))
    return rows


def _by_concept(
    words: list[str], items: ItemCatalog, concepts: ConceptIndex
) -> dict[str, np.ndarray]:
    """Rows of the evidence of concepts, by word of their label or keywords."""
    if not words:
        return {}
    wanted, rows = set(words), defaultdict[str, list[int]](list)
    for concept in concepts.concepts:
        said = set().union(*map(_folded, (concept.label, *concept.keywords)))
        evidence = [
            row for item_id in concept.evidence_items if (row := items.find(item_id)) is not None
        ]
        for word in wanted & said:
            rows[word] += evidence
    return _arrays(rows)


def _by_title(words: list[str], items: ItemCatalog) -> dict[str, np.ndarray]:
    """Rows of items by word of their title."""
    if not words:
        return {}
    # One pass finds titles that may have one of the words; only they are taken apart.
    pattern = "|".join(re.escape(word[:-1] if word.endswith("y") else word) for word in words)
    hits = pc.match_substring_regex(items.plain_titles, pattern)  # pyright: ignore[reportAttributeAccessIssue]
    wanted, rows = set(words), defaultdict[str, list[int]](list)
    for row in np.flatnonzero(hits.to_numpy().astype(bool)).tolist():
        for word in wanted & _folded(items.entry(row).title):
            rows[word].append(row)
    return _arrays(rows)


def _arrays(rows: dict[str, list[int]]) -> dict[str, np.ndarray]:
    return {word: np.unique(np.array(found)) for word, found in rows.items() if found}


def _chosen(
    found: dict[str, np.ndarray], items: ItemCatalog, unmatched: list[str]
) -> WeightedItems:
    n_words = np.zeros(len(items), np.int32)
    score = np.zeros(len(items))
    for rows in found.values():
        n_words[rows] += 1
        score[rows] += np.log1p(len(items) / len(rows))
    needed = int(n_words.max())
    while needed > 1 and np.count_nonzero(n_words >= needed) < MIN_ITEMS:
        needed -= 1
    rows = np.flatnonzero(n_words >= needed)
    order = np.lexsort((rows, -items.popularity[rows], -score[rows], -n_words[rows]))
    rows = rows[order[:MAX_ITEMS]]
    weights = score[rows] / score[rows].max()
    return WeightedItems(rows.tolist(), weights.tolist(), unmatched)
