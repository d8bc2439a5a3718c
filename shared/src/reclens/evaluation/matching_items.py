"""Which items match a label, and how much a data set says of its items at all."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable

import numpy as np

from reclens.concepts.evidence.item_text import item_names
from reclens.concepts.evidence.vocabulary import Vocabulary
from reclens.concepts.labels.rows import names_one_item
from reclens.contracts.tables.concepts import LatentLabel
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


def matching_items(
    rows: Iterable[LatentLabel], items: Items, vocabulary: Vocabulary
) -> dict[int, np.ndarray]:
    """Items that match each label, by latent: int [n_matching], rising.

    An item matches where it carries any of the label's keywords. A keyword is a term, or else the
    name of an item, which people's and language models' labels may have from the machine's. Left
    out are latents without a label, and those whose keywords no item carries. Labels of the same
    keywords share one array.

    Args:
        rows: of the concepts table.
        items: of the data set.
        vocabulary: of these items, made as the labels' was.
    """
    named: dict[str, list[int]] = {}
    for item, name in enumerate(item_names(items)):
        named.setdefault(name, []).append(item)

    def carrying(keyword: str, by_name: bool) -> np.ndarray:
        column = vocabulary.columns.get(keyword)
        if column is None or by_name:
            return np.array(named.get(keyword, []), np.int32)
        return vocabulary.carriers(column)

    @functools.cache
    def matching(keywords: tuple[str, ...], by_name: bool) -> np.ndarray:
        parts = [carrying(keyword, by_name) for keyword in keywords]
        return np.unique(np.concatenate([np.empty(0, np.int32), *parts]))

    found = {
        row.latent: matching(row.keywords, names_one_item(row.label, row.source))
        for row in rows
        if row.label is not None
    }
    return {latent: matched for latent, matched in found.items() if len(matched)}
