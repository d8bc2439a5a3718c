"""Similarity of a latent's strongest cases: one latent's are alike, different latents' are not.

Source: arXiv 2411.06112. Intra-latent similarity is the cosine between the items of a latent's two
strongest cases (higher is better), inter-latent similarity the mean pairwise cosine between the
strongest items of different latents (lower is better). Neighbouring prefixes of one history often
have the same item on top, which makes the former 1 without meaning anything; so beside it stands
the same with the second item taken from another user and different from the first. Its control
takes the second item from a random case of another user with another item: what any two answers
have in common, whatever fired.

Items are compared by vectors of two kinds: the recommender's own, and text. The recommender's own
are what it learned from who met what, so latents of the same recommender are close in them for its
own reasons; text knows nothing of the recommender.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfTransformer

from reclens.concepts.evidence.cases import firing_cases
from reclens.data.dataset import Items
from reclens.evaluation.statistics import PopularityDeciles, row_means

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


# --- cases with different items ------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DistinctCases:
    """Strongest cases of each latent with different items on top, falling."""

    items: np.ndarray
    """int64 [n_latents, n]: the items; -1 where there is no further case."""
    cases: np.ndarray
    """int64 [n_latents, n]: rows of the cases; -1 likewise."""
    values: np.ndarray
    """float64 [n_latents, n]: activations; 0 likewise."""


def distinct_cases(
    activations: sparse.csc_matrix, top: np.ndarray, *, n: int, user: np.ndarray | None = None
) -> DistinctCases:
    """Take a latent's strongest case of each item; of equal activations the earlier case.

    Args:
        activations: float [n_cases, n_latents].
        top: int [n_cases], the item on top of each answer, -1 for none.
        n: cases a latent at most.
        user: [n_cases], whose case it is. Given, every case is of another user too: from the
            strongest on, a case is passed over if its item or its user was taken before.
    """
    n_latents = len(activations.indptr) - 1
    items = np.full((n_latents, n), NO_ITEM, np.int64)
    cases = np.full((n_latents, n), -1, np.int64)
    values = np.zeros((n_latents, n))
    for latent in range(n_latents):
        rows, strength = _answered_by_strength(activations, latent, top)
        if user is None:
            _, first = np.unique(top[rows], return_index=True)
            chosen = np.sort(first)[:n]
        else:
            chosen = _first_of_both(top[rows], user[rows], n)
        size = len(chosen)
        items[latent, :size] = top[rows[chosen]]
        cases[latent, :size] = rows[chosen]
        values[latent, :size] = strength[chosen]
    return DistinctCases(items, cases, values)


def _answered_by_strength(
    activations: sparse.csc_matrix, latent: int, top: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the firing cases that have an answer, strongest first, and the activations."""
    rows, strength = firing_cases(activations, latent)
    answered = top[rows] >= 0
    rows, strength = rows[answered], strength[answered]
    order = np.lexsort((rows, np.negative(strength)))
    return rows[order], strength[order]


def _first_of_both(items: np.ndarray, users: np.ndarray, n: int) -> list[int]:
    """Places of the first ``n`` whose item and user did not come before."""
    places: list[int] = []
    seen_items, seen_users = set(), set()
    for place, (item, user) in enumerate(zip(items.tolist(), users.tolist(), strict=True)):
        if item not in seen_items and user not in seen_users:
            places.append(place)
            seen_items.add(item)
            seen_users.add(user)
            if len(places) == n:
                break
    return places


_N_RANDOM = 20  # random cases a latent: one would be noise


def second_items(activations: sparse.csc_matrix, top: np.ndarray) -> np.ndarray:
    """Item on top of each latent's second strongest case, whoever's it is and whatever the first's.

    Args:
        activations: float [n_cases, n_latents].
        top: int [n_cases], the item on top of each answer, -1 for none.

    Returns:
        int64 [n_latents]; -1 where there is no such case. Of equal activations the earlier case
        counts as stronger.
    """
    n_latents = len(activations.indptr) - 1
    found = np.full(n_latents, NO_ITEM, np.int64)
    for latent in range(n_latents):
        rows, _ = _answered_by_strength(activations, latent, top)
        if len(rows) > 1:
            found[latent] = top[rows[1]]
    return found


def random_case_cosines(
    found: DistinctCases,
    top: np.ndarray,
    user: np.ndarray,
    vectors: ItemVectors,
    rng: np.random.Generator,
) -> np.ndarray:
    """The control of the second distinct case: cosine to random cases' items, float64 [n_latents].

    Cases are drawn from all, whatever fires in them; those of the same user, with the same item or
    without an answer are left out. NaN where nothing is left.

    Args:
        found: strongest cases of each latent, of which the first counts.
        top: int [n_cases], the item on top of each answer, -1 for none.
        user: [n_cases], whose case it is.
        vectors: of items.
        rng: of the draws.
    """
    first, owner = found.items[:, 0], user[found.cases[:, 0]]
    drawn = rng.integers(len(top), size=(len(first), _N_RANDOM))
    other = (top[drawn] != first[:, None]) & (user[drawn] != owner[:, None])
    others = np.where(other, top[drawn], NO_ITEM)
    cosines = vectors.cosines(np.repeat(first, _N_RANDOM), others.ravel())
    return row_means(cosines.reshape(len(first), _N_RANDOM))


N_ITEMS = 30
"""Strongest distinct items of a latent that are compared."""
_N_DRAWS = 5  # of the control: one draw of few items would be noise


def coherence(
    found: DistinctCases,
    user: np.ndarray,
    vectors: ItemVectors,
    deciles: PopularityDeciles,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Compare the strongest items of every latent, and random ones in their place.

    The control keeps weights and users and exchanges each item for one of the same tenth of
    popularity that is on top of some answer.

    Args:
        found: strongest cases of each latent.
        user: [n_cases], whose case it is.
        vectors: of items.
        deciles: of items by popularity.
        rng: of the draws.

    Returns:
        Mean pairwise cosines of each latent's items, float64 [n_latents], NaN where no two cases of
        different users have known items; and of as many random items, each as popular as one of
        its own.
    """
    own, random = np.full((2, len(found.items)), np.nan)
    for latent, (items, cases, values) in enumerate(
        zip(found.items, found.cases, found.values, strict=True)
    ):
        size = int((cases >= 0).sum())
        owner = user[cases[:size]]
        own[latent] = weighted_pairwise(items[:size], values[:size], owner, vectors)
        if not math.isnan(own[latent]):
            drawn = [
                weighted_pairwise(deciles.draw(items[:size], rng), values[:size], owner, vectors)
                for _ in range(_N_DRAWS)
            ]
            known = [one for one in drawn if not math.isnan(one)]
            random[latent] = float(np.mean(known)) if known else math.nan
    return own, random


def weighted_pairwise(
    items: np.ndarray, values: np.ndarray, owner: np.ndarray, vectors: ItemVectors
) -> float:
    """``Σ wᵢ wⱼ cos(i, j) / Σ wᵢ wⱼ`` over pairs of cases of different users; NaN without any.

    Cases of one user are prefixes of one history: their answers are alike whatever fires.

    Args:
        items: int [n].
        values: float [n], activations, the weights w.
        owner: [n], whose case each is.
        vectors: of items; an item without a vector is left out.
    """
    known = vectors.known(items)
    items, values, owner = items[known], values[known], owner[known]
    weights = np.outer(values, values) * (owner[:, None] != owner)
    total = weights.sum()
    if total <= 0:
        return math.nan
    return float((weights * vectors.all_cosines(items)).sum() / total)
