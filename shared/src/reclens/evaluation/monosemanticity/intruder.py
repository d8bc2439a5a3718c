"""Intruder test: can a case that does not fire a latent be told among cases that do?

Source: J. Chang et al., Reading Tea Leaves: How Humans Interpret Topic Models, NIPS 2009, where
people find a strange word among the words of a topic. Here a machine finds a strange item by its
cosines to the others.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from reclens.concepts.evidence.cases import firing_cases
from reclens.evaluation.monosemanticity.item_vectors import NO_ITEM, ItemVectors
from reclens.evaluation.monosemanticity.similarity import DistinctCases
from reclens.evaluation.statistics import PopularityDeciles, row_means

N_MEMBERS = 5
"""Cases that fire the latent, beside one that does not."""
CHANCE = 1 / (N_MEMBERS + 1)
"""Accuracy of guessing."""
_N_DRAWS = 10  # intruders a latent: one would be noise


def draw_intruders(
    members: DistinctCases,
    activations: sparse.csc_matrix,
    top: np.ndarray,
    user: np.ndarray,
    *,
    deciles: PopularityDeciles,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw cases in which each latent is silent, of other users and with other items on top.

    A latent with fewer than ``N_MEMBERS`` members gets none. An intruder may well be what the
    latent stands for: a latent need not fire whenever it could, so 1 cannot be reached.

    Args:
        members: ``N_MEMBERS`` strongest cases of each latent, of different users.
        activations: float [n_cases, n_latents].
        top: int [n_cases], the item on top of each answer, -1 for none.
        user: [n_cases], whose case it is.
        deciles: of items by popularity.
        rng: of the draws.

    Returns:
        Items of silent cases, int64 [n_latents, draws] twice, -1 where there is no such case: drawn
        from all cases; and of the tenth of popularity of one of the members.
    """
    random, hard = np.full((2, len(members.items), _N_DRAWS), NO_ITEM, np.int64)
    _, owner = np.unique(user, return_inverse=True)
    for latent, (items, cases) in enumerate(zip(members.items, members.cases, strict=True)):
        if (items == NO_ITEM).any():
            continue
        possible = top >= 0
        possible[firing_cases(activations, latent)[0]] = False
        possible &= ~np.isin(top, items) & ~np.isin(owner, owner[cases])
        pool = top[possible]
        if not len(pool):
            continue
        random[latent] = rng.choice(pool, size=_N_DRAWS)
        of_pool = deciles.of_item[pool]
        for draw, member in enumerate(rng.choice(items, size=_N_DRAWS)):
            alike = pool[of_pool == deciles.of_item[member]]
            if len(alike):
                hard[latent, draw] = rng.choice(alike)
    return random, hard


def intruder_accuracy(
    members: np.ndarray, intruders: np.ndarray, vectors: ItemVectors
) -> np.ndarray:
    """How often the item with the lowest mean cosine to the other five is the intruder.

    Where several are lowest, one of them is guessed, which counts by its chance.

    Args:
        members: int [n_latents, N_MEMBERS], items.
        intruders: int [n_latents, draws], items; -1 for none.
        vectors: of items.

    Returns:
        float64 [n_latents], over draws; NaN where a member has no vector or no intruder has one.
    """
    n_latents, draws = intruders.shape
    size = members.shape[1]
    among = np.zeros((n_latents, size))
    for i in range(size):
        for j in range(i):
            cosine = vectors.cosines(members[:, i], members[:, j])
            among[:, i] += cosine
            among[:, j] += cosine
    to_intruder = vectors.cosines(
        np.broadcast_to(members[:, None, :], (n_latents, draws, size)).ravel(),
        np.repeat(intruders.ravel(), size),
    ).reshape(n_latents, draws, size)
    # Rounding makes equal sums equal: their order must not decide a tie.
    of_members = np.round(among[:, None, :] + to_intruder, 9)
    of_intruder = np.round(to_intruder.sum(axis=2), 9)
    lowest = of_members.min(axis=2)
    ties = (of_members == of_intruder[..., None]).sum(axis=2)
    right = np.where(of_intruder < lowest, 1.0, np.where(of_intruder > lowest, 0.0, 1 / (1 + ties)))
    return row_means(np.where(np.isfinite(of_intruder) & np.isfinite(lowest), right, np.nan))
