"""The strongest cases of a latent, each standing for another item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reclens.evaluation.monosemanticity.item_vectors import NO_ITEM


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
        inside = slice(activations.indptr[latent], activations.indptr[latent + 1])
        rows, strength = activations.indices[inside], np.asarray(activations.data[inside])
        answered = top[rows] >= 0
        rows, strength = rows[answered], strength[answered]
        order = np.lexsort((rows, np.negative(strength)))
        if user is None:
            _, first = np.unique(top[rows[order]], return_index=True)
            chosen = order[np.sort(first)[:n]]
        else:
            chosen = order[_first_of_both(top[rows[order]], user[rows[order]], n)]
        size = len(chosen)
        items[latent, :size] = top[rows[chosen]]
        cases[latent, :size] = rows[chosen]
        values[latent, :size] = strength[chosen]
    return DistinctCases(items, cases, values)


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
