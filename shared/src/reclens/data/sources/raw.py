"""What every reader returns: external ids, nothing filtered, nothing indexed, and texts of items.

Titles are as people say them, the year apart. Where a source tells which user gave which tag: which
tags describe an item, and whose are kept to judge labels by.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reclens.contracts.account import Finding
from reclens.errors import InvalidInput

Order = Literal["time", "rows", "sequence", "none"]
"""What ``timestamps`` mean: points in time, numbers of rows that are in order of time, places
within each user's sequence, or nothing."""

TAGS_KEPT = 10
"""Tags that describe an item at most."""

_BUCKETS = 10_000
_YEAR = re.compile(r"\s*\((\d{4})\)(?:\s*\(V\))?\s*$")  # "(V)" marks video releases in MovieLens
_ARTICLES = "The|A|An|La|Le|Les|L'|Il|El|Los|Las|Der|Die|Das|Det|Den"
_TRAILING_ARTICLE = re.compile(rf"([^()]+), ({_ARTICLES})(?=\s*(?:\(|\)|$))")


@dataclass(frozen=True)
class ItemText:
    """What a source tells of one item."""

    title: str = ""
    """Title without the year; empty where there is none."""
    tags: tuple[str, ...] = ()
    """Genres, categories or tags."""
    year: int | None = None
    """Year of publication."""
    tag_users: dict[str, int] = field(default_factory=dict)
    """Number of users who gave the item each tag, where the source tells; may have more tags than
    ``tags``."""
    taggers: dict[str, frozenset[str]] = field(default_factory=dict)
    """Ids of these users by tag, where the source tells."""
    held_out_tag_users: dict[str, int] = field(default_factory=dict)
    """Number of held-out users who gave the item each tag; their tags are not in ``tags``."""
    published_tags: tuple[str, ...] = ()
    """Those of ``tags`` that are the publisher's, whoever gave which of the others."""


@dataclass(frozen=True, eq=False)
class RawData:
    """Interactions in order of the source, with external ids, and what is known of both sides."""

    user_ids: pa.StringArray
    """[n] never empty."""
    item_ids: pa.StringArray
    """[n] never empty."""
    timestamps: npt.NDArray[np.int64]
    """[n] seconds; where the source has no time, the place in its order."""
    ratings: npt.NDArray[np.float32] | None = None
    """[n] finite; None where the source has none."""
    items: dict[str, ItemText] = field(default_factory=dict)
    """By item id; items may be missing or superfluous."""
    users: dict[str, dict[str, str]] = field(default_factory=dict)
    """Attributes by user id; users may be missing or superfluous."""
    order: Order = "time"
    """What is known of the order of interactions."""
    fractions: npt.NDArray[np.float64] | None = None
    """[n] from 0 to less than 1, what ``timestamps`` lack of the full time; None: nothing. Rows of
    the same second are in this order, and divided by it."""
    findings: tuple[Finding, ...] = ()
    """How the files were understood, and what was odd about them."""

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def timed(self) -> bool:
        """Whether ``timestamps`` are points in time, and not places in some order."""
        return self.order == "time"


def rows_as_time(table: Sized) -> npt.NDArray[np.int64]:
    """Row numbers [n] from 0, for a source without times: of the order ``rows``."""
    return np.arange(len(table), dtype=np.int64)


# --- titles -------------------------------------------------------------------------------------


def take_year(title: str) -> tuple[str, int | None]:
    """Divide ``Heat (1995)`` into ``Heat`` and 1995; no year at the end gives None."""
    match = _YEAR.search(title)
    if match is None or match.start() == 0:
        return title.strip(), None
    return title[: match.start()].strip(), int(match[1])


def titled(text: str) -> tuple[str, int | None]:
    """The title as people say it, and its year, of ``Godfather, The (1972)``."""
    title, year = take_year(text)
    return article_first(title), year


def article_first(title: str) -> str:
    """Turn ``Godfather, The`` into ``The Godfather``, in the brackets of a second title too."""
    return _TRAILING_ARTICLE.sub(_swap, title) if ", " in title else title


def _swap(match: re.Match[str]) -> str:
    name, article = match[1], match[2]
    glue = "" if article.endswith("'") else " "
    return f"{article}{glue}{name}"


# --- tags that users gave -----------------------------------------------------------------------


def most_given(counts: Sequence[Mapping[str, int]]) -> list[list[str]]:
    """The ``TAGS_KEPT`` tags of each item that most users gave it.

    Of equals those that more items have come first, then those earlier in the alphabet.

    Args:
        counts: by item, number of users by tag.
    """
    items_with = Counter(tag for one in counts for tag in one)
    return [
        sorted(one, key=lambda tag: (-one[tag], -items_with[tag], tag))[:TAGS_KEPT]
        for one in counts
    ]


def with_taggers(
    items: Mapping[str, ItemText], taggers: Mapping[str, Mapping[str, frozenset[str]]]
) -> dict[str, ItemText]:
    """Add to the tags of items, which are their publisher's, those that most users gave them.

    Args:
        items: by item id.
        taggers: ids of users by item id and tag; of items that are not in ``items`` as well.
    """
    described = {
        item: replace(
            (text := items.get(item, ItemText())),
            published_tags=text.tags,
            taggers=dict(sorted(taggers.get(item, {}).items())),
        )
        for item in {**items, **taggers}
    }
    counts = {item: _counts(text.taggers) for item, text in described.items()}
    return {
        item: replace(text, tags=_tags(text, given), tag_users=counts[item])
        for (item, text), given in zip(
            described.items(), most_given(list(counts.values())), strict=True
        )
    }


def _tags(text: ItemText, given: Sequence[str]) -> tuple[str, ...]:
    known = {tag.casefold() for tag in text.published_tags}
    return (*text.published_tags, *(tag for tag in given if tag.casefold() not in known))


def hold_out_taggers(items: Mapping[str, ItemText], share: float) -> dict[str, ItemText]:
    """Describe items by the tags of some users, and keep those of the others to judge by.

    A user is held out by a hash of the id: for all items, and whatever other users there are.

    Args:
        items: by item id, with `ItemText.taggers`.
        share: of the taggers that are held out, 0 to 1.

    Returns:
        The same with ``tags`` of the other users, and ``held_out_tag_users``.

    Raises:
        InvalidInput: the source does not tell who gave which tag.
    """
    if not any(text.taggers for text in items.values()):
        raise InvalidInput(
            "the source does not tell who gave which tag.",
            field="held_out_taggers",
            remedy="leave held_out_taggers out, or use a source that tells (hetrec, movielens).",
        )
    users = {user for text in items.values() for given in text.taggers.values() for user in given}
    held_out = {user for user in users if _bucket(user) < share * _BUCKETS}
    describing = {
        item: _counts({tag: given - held_out for tag, given in text.taggers.items()})
        for item, text in items.items()
    }
    tags = dict(zip(describing, most_given(list(describing.values())), strict=True))
    return {
        item: replace(
            text,
            tags=_tags(text, tags[item]),
            held_out_tag_users=_counts(
                {tag: given & held_out for tag, given in text.taggers.items()}
            ),
        )
        for item, text in items.items()
    }


def _counts(given: Mapping[str, frozenset[str]]) -> dict[str, int]:
    return {tag: len(users) for tag, users in sorted(given.items()) if users}


def _bucket(user: str) -> int:
    digest = hashlib.sha256(user.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") % _BUCKETS
