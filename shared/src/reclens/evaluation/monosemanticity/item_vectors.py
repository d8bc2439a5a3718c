"""Vectors of items, by which the items on top of a latent's cases are compared.

Two kinds: the recommender's own, and text. The recommender's own are what it learned from who met
what, so latents of the same recommender are close in them for its own reasons; text knows nothing
of the recommender.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from scipy import sparse
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfTransformer

from reclens.data.dataset import Items

NO_ITEM = -1
"""Stands where there is no item."""

_WORD = re.compile(r"[^\W_]{2,}")


class ItemVectors:
    """Unit vectors of items. An item whose vector is zero is compared with nothing.

    Args:
        vectors: float [n_items, d].
    """

    def __init__(self, vectors: np.ndarray | sparse.csr_array) -> None:
        rows = sparse.csr_array(vectors, dtype=np.float64)
        norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
        self._known = norms > 0
        scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=self._known)
        self._unit = sparse.csr_array(sparse.diags_array(scale) @ rows)

    def known(self, items: np.ndarray) -> np.ndarray:
        """Whether each of ``items`` (any shape, ``NO_ITEM`` for none) has a vector, bool."""
        return (items != NO_ITEM) & self._known[items]

    def cosines(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Cosine of int [n] items with int [n] others, float64 [n]; NaN where either is missing."""
        known = self.known(first) & self.known(second)
        cosines = np.full(len(first), np.nan)
        products = self._unit[first[known]].multiply(self._unit[second[known]])
        cosines[known] = np.asarray(products.sum(axis=1)).ravel()
        return cosines

    def all_cosines(self, items: np.ndarray) -> np.ndarray:
        """Cosines of all pairs of int [n] items that have vectors, float64 [n, n]."""
        rows = self._unit[items]
        return (rows @ rows.T).toarray()

    def mean_pairwise(self, items: np.ndarray) -> float:
        """Mean cosine over all pairs of different places of int [n]; NaN below two known items."""
        rows = self._unit[items[self.known(items)]]
        n = rows.shape[0]
        if n < 2:
            return float("nan")
        total = np.asarray(rows.sum(axis=0)).ravel()
        # The sum over all pairs, less each vector with itself.
        return float((total @ total - n) / (n * (n - 1)))


def text_vectors(items: Items) -> ItemVectors | None:
    """TF-IDF of the words of an item's title and of its tags; None where no two items share any.

    A tag is one term, so ``Film-Noir`` shares nothing with a title that has ``film`` in it.
    """
    texts = [
        Counter(_terms(title, tags)) for title, tags in zip(items.titles, items.tags, strict=True)
    ]
    counts = sparse.csc_array(DictVectorizer().fit_transform(texts))
    shared = np.diff(counts.indptr) > 1
    if not shared.any():
        return None
    return ItemVectors(sparse.csr_array(TfidfTransformer().fit_transform(counts[:, shared])))


def _terms(title: str, tags: list[str]) -> list[str]:
    words = (word for word in _WORD.findall(title.casefold()) if word not in ENGLISH_STOP_WORDS)
    return [*words, *(f"tag {tag.casefold()}" for tag in tags)]
