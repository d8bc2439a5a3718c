"""Items in words, for judges and language models that read them."""

from __future__ import annotations

from reclens.concepts.terms import popularity_standing
from reclens.concepts.text import MAX_TERM, MAX_TITLE, clean
from reclens.data.dataset import Items

_MAX_TAGS = 8


def describe_items(items: Items) -> list[str]:
    """One line for each item, e.g. ``Heat (1995): Action, Crime. Popular.``

    Title or else id, year, tags and standing, as far as they are known. Cleaned and bounded, as it
    comes from strangers.
    """
    standing = popularity_standing(items.popularity)
    return [
        _described(clean(title, MAX_TITLE) or clean(item_id, MAX_TITLE), tags, year, popular)
        for item_id, title, tags, year, popular in zip(
            items.ids, items.titles, items.tags, items.years, standing, strict=True
        )
    ]


def _described(title: str, tags: list[str], year: int | None, popular: str) -> str:
    line = title if year is None else f"{title} ({year})"
    shown = [cleaned for tag in tags[:_MAX_TAGS] if (cleaned := clean(tag, MAX_TERM))]
    if shown:
        line = f"{line}: {', '.join(shown)}"
    return f"{line}. {popular}." if popular else line
