"""Makes item text safe to show: it comes from strangers, and ends up in labels, ids and logs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

MAX_TITLE = 120
"""Characters of an item's title that are kept in a label or description."""
MAX_TERM = 60
"""Characters of a tag that are kept."""
MAX_SLUG = 63
"""Characters of a concept id, like a DNS label."""

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


def slug(text: str) -> str:
    """``text`` as ``[a-z0-9-]``, at most 63 characters; ``concept`` when no letter survives.

    Never a number alone, which would name a latent: ``1997`` becomes ``concept-1997``.
    """
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    found = _NOT_SLUG.sub("-", ascii_text.lower())[:MAX_SLUG].strip("-") or "concept"
    return f"concept-{found}"[:MAX_SLUG] if found.isdecimal() else found


def unique_slugs(labels: list[str]) -> dict[str, str]:
    """Label to slug, without two labels sharing one: later labels in sorted order get a number."""
    slugs: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(set(labels)):
        slugs[label] = free_slug(label, taken)
        taken.add(slugs[label])
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
