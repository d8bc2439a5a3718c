"""Which items carry a label, read back from its keywords."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse

from reclens.concepts.grouping import LatentLabel
from reclens.concepts.item_text import item_names
from reclens.concepts.rows import names_one_item
from reclens.concepts.terms import build_vocabulary
from reclens.data.dataset import Items


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
        self._names = np.array(item_names(items))

    def of(self, row: LatentLabel) -> np.ndarray | None:
        """Items that carry any of the label's keywords, bool [n_items].

        None for a latent without a label, and where no item carries its keywords.
        """
        if row.label is None:
            return None
        if names_one_item(row.label, row.source):
            carries = np.isin(self._names, row.keywords)
        else:
            carries = self._any_of(row.keywords)
        return carries if carries.any() else None

    def of_all(self, rows: Iterable[LatentLabel]) -> dict[int, np.ndarray]:
        """By latent, for those that have a label which items carry."""
        found = {row.latent: self.of(row) for row in rows}
        return {latent: carries for latent, carries in found.items() if carries is not None}

    def _any_of(self, keywords: Sequence[str]) -> np.ndarray:
        carries = np.zeros(len(self._names), bool)
        for keyword in keywords:
            column = self._column.get(keyword)
            if column is not None:
                inside = slice(self._membership.indptr[column], self._membership.indptr[column + 1])
                carries[self._membership.indices[inside]] = True
        return carries
