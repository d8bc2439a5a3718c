"""Which tags say something of an item, and how much a data set says of its items at all."""

from __future__ import annotations

from collections import Counter

from reclens.data.dataset import Items

MIN_SHARE = 0.01
"""A tag must be on top in this share of the cases, on either side."""
MAX_SHARE = 0.9
"""A tag on top in more of the cases, or of more of the items, is a placeholder."""
MIN_TAGS = 3
"""With fewer usable tags nothing is probed: a mean over one or two tags is about these tags."""


def described_items(items: Items) -> dict[str, int]:
    """Count ``items``, those ``titled`` and those ``tagged``.

    A tag that more than ``MAX_SHARE`` of the items carry is a placeholder and does not count.
    """
    carried = Counter(tag for tags in items.tags for tag in set(tags))
    telling = {tag for tag, count in carried.items() if count <= MAX_SHARE * len(items)}
    return {
        "items": len(items),
        "titled": sum(bool(title.strip()) for title in items.titles),
        "tagged": sum(not telling.isdisjoint(tags) for tags in items.tags),
    }
