"""Which items carry a label, read back from its keywords."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse

from reclens.concepts.grouping import LatentLabel
from reclens.concepts.terms import build_vocabulary
from reclens.concepts.text import MAX_TITLE, clean
from reclens.data.dataset import Items

_SINGLE_ITEM = "One item: "


class Carriers:
    """Items by what is said of them.

    Args:
        items: of the data set.
        min_items: as the labels were made with.
    """

    def __init__(self, items: Items, *, min_items: int) -> None:
        vocabulary = build_vocabulary(items, min_items=min_items)
        self._membership = sparse.csc_matrix(vocabulary.membership)
        self._column: dict[str, int] = {}
        for column, term in enumerate(vocabulary.terms):
            # Terms are sorted simplest first; a later one of the same text is another statement.
            self._column.setdefault(term.text, column)
        self._titles = np.array(
            [
                clean(title, MAX_TITLE) or clean(item_id, MAX_TITLE)
                for title, item_id in zip(items.titles, items.ids, strict=True)
            ]
        )

    def of(self, row: LatentLabel) -> np.ndarray | None:
        """Items that carry any of the label's keywords, bool [n_items].

        None for a latent without a label, and where no item carries its keywords.
        """
        if row.label is None:
            return None
        if row.label.startswith(_SINGLE_ITEM):
            carries = np.isin(self._titles, row.keywords)
        else:
            carries = self._any_of(row.keywords)
        return carries if carries.any() else None

    def of_all(self, rows: Iterable[LatentLabel]) -> dict[int, np.ndarray]:
        """By latent, for those that have a label which items carry."""
        found = {row.latent: self.of(row) for row in rows}
        return {latent: carries for latent, carries in found.items() if carries is not None}

    def _any_of(self, keywords: Sequence[str]) -> np.ndarray:
        carries = np.zeros(len(self._titles), bool)
        for keyword in keywords:
            column = self._column.get(keyword)
            if column is not None:
                inside = slice(self._membership.indptr[column], self._membership.indptr[column + 1])
                carries[self._membership.indices[inside]] = True
        return carries
