"""How much a data set says of its items: what labels can be made from at all."""

from __future__ import annotations

from collections import Counter

from reclens.data.dataset import Items
from reclens.evaluation.probing import MAX_SHARE


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
