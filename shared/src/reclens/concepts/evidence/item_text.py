"""Items in words, for judges and language models that read them."""

from __future__ import annotations

from reclens.concepts.evidence.item_terms import popularity_standing
from reclens.concepts.evidence.text import MAX_TERM, MAX_TITLE, clean
from reclens.data.dataset import Items

_MAX_TAGS = 8


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
    standing = popularity_standing(items.popularity)
    return [
        _described(name, tags, year, popular)
        for name, tags, year, popular in zip(
            item_names(items), items.tags, items.years, standing, strict=True
        )
    ]


def _described(name: str, tags: list[str], year: int | None, popular: str) -> str:
    line = name if year is None else f"{name} ({year})"
    shown = [cleaned for tag in tags[:_MAX_TAGS] if (cleaned := clean(tag, MAX_TERM))]
    if shown:
        line = f"{line}: {', '.join(shown)}"
    return f"{line}. {popular}." if popular else line
