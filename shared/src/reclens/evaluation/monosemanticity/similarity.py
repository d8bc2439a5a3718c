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

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reclens.evaluation.monosemanticity.item_vectors import NO_ITEM, ItemVectors

_N_RANDOM = 20  # random cases a latent: one would be noise


@dataclass(frozen=True, eq=False)
class StrongestItems:
    """Items on top of each latent's strongest cases; -1 where there is no such case."""

    first: np.ndarray
    """int64 [n_latents]: of the strongest case."""
    second: np.ndarray
    """int64 [n_latents]: of the second strongest."""
    distinct: np.ndarray
    """int64 [n_latents]: of the strongest case of another user with another item."""
    case: np.ndarray
    """int64 [n_latents]: row of the strongest case."""


def strongest_items(
    activations: sparse.csc_matrix, top: np.ndarray, user: np.ndarray
) -> StrongestItems:
    """Find them; of equal activations the earlier case counts as stronger.

    Args:
        activations: float [n_cases, n_latents].
        top: int [n_cases], the item on top of each answer, -1 for none.
        user: [n_cases], whose case it is.
    """
    n_latents = len(activations.indptr) - 1
    found = np.full((4, n_latents), NO_ITEM, np.int64)
    for latent in range(n_latents):
        inside = slice(activations.indptr[latent], activations.indptr[latent + 1])
        rows, values = activations.indices[inside], np.asarray(activations.data[inside])
        rows, values = rows[top[rows] >= 0], values[top[rows] >= 0]
        ordered = rows[np.lexsort((rows, np.negative(values)))]
        if not len(ordered):
            continue
        first = ordered[0]
        found[0, latent], found[3, latent] = top[first], first
        if len(ordered) > 1:
            found[1, latent] = top[ordered[1]]
        others = ordered[(top[ordered] != top[first]) & (user[ordered] != user[first])]
        if len(others):
            found[2, latent] = top[others[0]]
    return StrongestItems(*found)


def random_case_cosines(
    found: StrongestItems,
    top: np.ndarray,
    user: np.ndarray,
    vectors: ItemVectors,
    rng: np.random.Generator,
) -> np.ndarray:
    """The control of ``distinct``: cosine to the item of random cases, float64 [n_latents].

    Cases are drawn from all, whatever fires in them; those of the same user, with the same item or
    without an answer are left out. NaN where nothing is left.

    Args:
        found: strongest case of each latent and its item.
        top: int [n_cases], the item on top of each answer, -1 for none.
        user: [n_cases], whose case it is.
        vectors: of items.
        rng: of the draws.
    """
    first, owner = found.first, user[found.case]
    drawn = rng.integers(len(top), size=(len(first), _N_RANDOM))
    other = (top[drawn] != first[:, None]) & (user[drawn] != owner[:, None])
    others = np.where(other, top[drawn], NO_ITEM)
    cosines = vectors.cosines(np.repeat(first, _N_RANDOM), others.ravel())
    cosines = cosines.reshape(len(first), _N_RANDOM)
    known = np.isfinite(cosines)
    total = np.where(known, cosines, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.divide(total, count, out=np.full(len(first), np.nan), where=count > 0)
