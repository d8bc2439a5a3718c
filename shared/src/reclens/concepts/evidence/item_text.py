"""Text of items: cleaned, as an id, in one line, and as the terms that an item carries.

Without scikit-learn and SciPy: serving reads items with this.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import combinations

import numpy as np

from reclens.contracts import sha256_hex
from reclens.data.dataset import Items

MAX_TITLE = 120
"""Characters of an item's title that are kept in a label or description."""
MAX_TERM = 60
"""Characters of a tag that are kept."""
MAX_SLUG = 63
"""Characters of a concept id, like a DNS label."""

_HASH = 8  # hexadecimal digits that tell labels apart whose letters an id cannot have
_NOT_SLUG = re.compile(r"[^a-z0-9]+")


def clean(text: str, limit: int) -> str:
    """``text`` on one line, without control or formatting characters, at most ``limit`` characters.

    Line breaks and runs of white space become one space; escape sequences lose their escape
    character, right-to-left overrides and zero-width characters vanish, lone surrogates too.
    """
    # Four times the limit leaves room for what is dropped, and bounds the work on a huge text.
    head = unicodedata.normalize("NFC", text[: 4 * limit])
    spaced = "".join(" " if ch.isspace() else ch for ch in head)
    # Categories C*: control, format, surrogate, private use, unassigned.
    kept = "".join(ch for ch in spaced if not unicodedata.category(ch).startswith("C"))
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def words(text: str) -> list[str]:
    """Runs of letters and digits in any script, with the marks that belong to them, case folded."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    # Vowels of Indic scripts and Thai are marks, which `\w` takes for the end of a word.
    kept = (ch if ch.isalnum() or unicodedata.category(ch)[0] == "M" else " " for ch in folded)
    return [word for word in "".join(kept).split() if any(map(str.isalnum, word))]


def meaning_of(label: str) -> str:
    """What labels that differ in case and punctuation alone have in common."""
    return " ".join(words(label)) or label


def slug(text: str) -> str:
    """``text`` as ``[a-z0-9-]``, at most 63 characters, whatever other labels there are.

    Of ASCII letters and digits it is the words. Where others are left out, as of ``драма 1990s``,
    it ends in a hash of what `meaning_of` finds: ``1990s-4b95e63b``. It is never a number alone,
    which would name a latent: ``1997`` becomes ``concept-1997``.
    """
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    found = _NOT_SLUG.sub("-", ascii_text.lower())[:MAX_SLUG].strip("-")
    meaning = meaning_of(text)
    if not found or not meaning.isascii():
        return _with_hash(found or "concept", meaning)
    return f"concept-{found}"[:MAX_SLUG] if found.isdecimal() else found


def _with_hash(base: str, text: str) -> str:
    suffix = f"-{sha256_hex(text.encode('utf-8', 'replace'))[:_HASH]}"
    return base[: MAX_SLUG - len(suffix)].rstrip("-") + suffix


def unique_slugs(labels: Iterable[str]) -> dict[str, str]:
    """Label to slug, without two labels sharing one: of those that would, because they are longer
    or differ in case and punctuation alone, each has a hash of its own but the first short one."""
    distinct = sorted(set(labels))
    sharing = Counter(map(slug, distinct))
    slugs: dict[str, str] = {}
    for label in distinct:
        found = slug(label)
        is_cut = len(found) >= MAX_SLUG - 1
        if sharing[found] > 1 and (is_cut or found in slugs.values()):
            found = _with_hash(found, label)
        slugs[label] = found
    return slugs


def free_slug(text: str, taken: Collection[str]) -> str:
    """``text`` as a slug that is not taken: where it is, with the first free number from 2."""
    base = candidate = slug(text)
    number = 1
    while candidate in taken:
        number += 1
        suffix = f"-{number}"
        candidate = base[: MAX_SLUG - len(suffix)].rstrip("-") + suffix
    return candidate


POPULAR = "Popular"
"""Of the most interacted-with items, which together have a third of all interactions."""
LITTLE_KNOWN = "Little known"
"""Of the least interacted-with items, which together have a tenth of all interactions."""

_POPULAR_SHARE, _LITTLE_KNOWN_SHARE = 1 / 3, 0.1
_MAX_TAGS = 32
_MAX_PAIRED_TAGS = 8
# Han, which writes words without spaces; Katakana and Hangul, whose words may have two letters.
_HAN, _SHORT = (
    r"\u3005\u3400-\u9fff\U00020000-\U0003ffff",
    r"\u30a1-\u30fa\u30fc-\u30fe\uac00-\ud7a3",
)
_PIECE = re.compile(rf"([{_HAN}]+)|([{_SHORT}]{{2,}})|([^\d{_HAN}{_SHORT}]{{3,}})")
# What follows the name of a series: a subtitle, or the number of a part.
_SUBTITLE = re.compile(r"\s*(?::|\s-\s).*$")
_PART = re.compile(r",?\s+(?:part\s+)?(?:\d{1,2}|[ivx]{1,4})$", re.IGNORECASE)


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


def item_terms(title: str, tags: Sequence[str], year: int | None, standing: str) -> set[Term]:
    """All terms that an item carries, those that a vocabulary leaves out included."""
    terms = {Term(kind, text) for kind, text, _ in terms_of_tags(clean_tags(tags), year, standing)}
    if standing:
        terms.add(Term(TermKind.POPULARITY, standing))
    if year is not None:
        terms |= {Term(TermKind.DECADE, _decade(year)), Term(TermKind.YEAR, f"{year}")}
    return terms | _of_title(clean(title, MAX_TITLE))


def clean_tags(tags: Sequence[str]) -> list[str]:
    """Distinct tags as terms have them, sorted."""
    return sorted({cleaned for tag in tags[:_MAX_TAGS] if (cleaned := clean(tag, MAX_TERM))})


def _decade(year: int) -> str:
    return f"{year // 10 * 10}s"


def terms_of_tags(
    tags: list[str], year: int | None, standing: str
) -> Iterator[tuple[TermKind, str, tuple[str, ...]]]:
    """Kind and text of the terms with tags, and the tags.

    Args:
        tags: as `clean_tags` has them.
        year: of the item.
        standing: as `popularity_standing` has it.
    """
    for tag in tags:
        yield TermKind.TAG, tag, (tag,)
        if standing:
            yield TermKind.TAG_POPULARITY, f"{standing} {tag}", (tag,)
        if year is not None:
            yield TermKind.TAG_DECADE, f"{tag} {_decade(year)}", (tag,)
            yield TermKind.TAG_YEAR, f"{tag} {year}", (tag,)
    for pair in combinations(tags[:_MAX_PAIRED_TAGS], 2):
        text = " ".join(pair)
        yield TermKind.TAG_PAIR, text, pair
        if year is not None:
            yield TermKind.TAG_PAIR_DECADE, f"{text} {_decade(year)}", pair


def _title_words(title: str) -> Iterator[str]:
    """Words of a title that may say something; of a run of Han characters each two neighbours."""
    for word in words(title):
        for han, short, other in _PIECE.findall(word):
            if han:
                yield from (han[at : at + 2] for at in range(max(len(han) - 1, 1)))
            else:
                yield short or other


def _of_title(title: str) -> set[Term]:
    terms = {Term(TermKind.WORD, f"“{word}”") for word in _title_words(title)}
    series = _PART.sub("", _SUBTITLE.sub("", title)).strip()
    # A name of one word is among the words already.
    if " " in series:
        terms.add(Term(TermKind.SERIES, f"“{series}”"))
    return terms


_MAX_TAGS_SHOWN = 8


def item_name(items: Items, item: int) -> str:
    """The title of an item or else its id, cleaned.

    Args:
        items: of the data set.
        item: its index.
    """
    return clean(items.titles[item], MAX_TITLE) or clean(items.ids[item], MAX_TITLE)


def item_names(items: Items) -> list[str]:
    """`item_name` of every item."""
    return [item_name(items, item) for item in range(len(items))]


def describe_items(items: Items) -> list[str]:
    """One line for each item, e.g. ``Heat (1995): Action, Crime. Popular.``

    Name, year, tags and standing, as far as they are known. Cleaned and bounded, as it
    comes from strangers.
    """
    lines = item_names(items)
    for item, standing in enumerate(popularity_standing(items.popularity)):
        if (year := items.years[item]) is not None:
            lines[item] += f" ({year})"
        cleaned = (clean(tag, MAX_TERM) for tag in items.tags[item][:_MAX_TAGS_SHOWN])
        if shown := ", ".join(filter(None, cleaned)):
            lines[item] += f": {shown}"
        if standing:
            lines[item] += f". {standing}."
    return lines
