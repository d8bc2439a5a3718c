"""Similarity of a latent's strongest cases: one latent's are alike, different latents' are not.

Source: arXiv 2411.06112. Intra-latent similarity is the cosine between the items of a latent's two
strongest cases (higher is better), inter-latent similarity the mean pairwise cosine between the
strongest items of different latents (lower is better). Neighbouring prefixes of one history often
have the same item on top, which makes the former 1 without meaning anything; so beside it stands
the same with the second item taken from another user and different from the first. Its control
takes the second item from a random case of another user with another item: what any two answers
have in common, whatever fired.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reclens.concepts.evidence.cases import firing_cases
from reclens.evaluation.monosemanticity.item_vectors import NO_ITEM, ItemVectors
from reclens.evaluation.statistics import PopularityDeciles, row_means


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
