"""Which items carry a label or a tag, and how much a data set says of its items at all."""

from __future__ import annotations

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


class Carriers:
    """Items by what is said of them. Labels of the same keywords share one array.

    Args:
        items: of the data set.
        vocabulary: of these items, made as the labels' was.
    """

    def __init__(self, items: Items, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._named: dict[str, list[int]] = {}
        for item, name in enumerate(item_names(items)):
            self._named.setdefault(name, []).append(item)
        self._known: dict[tuple[bool, tuple[str, ...]], np.ndarray] = {}

    def of(self, row: LatentLabel) -> np.ndarray | None:
        """Items that carry any of the label's keywords, int [n_carriers], rising.

        A keyword is a term, or else the name of an item, which people's and language models' labels
        may have from the machine's. None for a latent without a label, and where no item carries
        its keywords.
        """
        if row.label is None:
            return None
        by_name = names_one_item(row.label, row.source)
        key = by_name, row.keywords
        if key not in self._known:
            parts = [self._of(keyword, by_name=by_name) for keyword in row.keywords]
            self._known[key] = np.unique(np.concatenate([np.empty(0, np.int32), *parts]))
        carries = self._known[key]
        return carries if len(carries) else None

    def of_all(self, rows: Iterable[LatentLabel]) -> dict[int, np.ndarray]:
        """By latent, for those that have a label which items carry."""
        found = {row.latent: self.of(row) for row in rows}
        return {latent: carries for latent, carries in found.items() if carries is not None}

    def _of(self, keyword: str, *, by_name: bool) -> np.ndarray:
        column = self._vocabulary.columns.get(keyword)
        if column is None or by_name:
            return np.array(self._named.get(keyword, []), np.int32)
        return self._vocabulary.carriers(column)


def on_top(items: np.ndarray, carriers: np.ndarray) -> np.ndarray:
    """Whether each item is a carrier, bool of the shape of ``items``; -1, no item, never is.

    Args:
        items: int, item on top of each answer.
        carriers: int [n_carriers], as `Carriers` has them.
    """
    return np.isin(items, carriers)
