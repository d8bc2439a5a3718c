"""How alike a latent's strongest items are, all against all, weighted by activation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reclens.evaluation.monosemanticity.item_vectors import ItemVectors
from reclens.evaluation.monosemanticity.strongest import DistinctCases
from reclens.evaluation.statistics.popularity import PopularityTenths

N_ITEMS = 30
"""Strongest distinct items of a latent that are compared."""
_N_DRAWS = 5  # of the control: one draw of few items would be noise


@dataclass(frozen=True, eq=False)
class Coherence:
    """Mean pairwise cosines of each latent's items."""

    own: np.ndarray
    """float64 [n_latents]; NaN where no two cases of different users have known items."""
    random: np.ndarray
    """float64 [n_latents]: of as many random items, each as popular as one of its own."""


def coherence(
    found: DistinctCases,
    user: np.ndarray,
    vectors: ItemVectors,
    tenths: PopularityTenths,
    rng: np.random.Generator,
) -> Coherence:
    """Compare the strongest items of every latent, and random ones in their place.

    The control keeps weights and users and exchanges each item for one of the same tenth of
    popularity that is on top of some answer.

    Args:
        found: strongest cases of each latent.
        user: [n_cases], whose case it is.
        vectors: of items.
        tenths: of items by popularity.
        rng: of the draws.
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
                weighted_pairwise(tenths.draw(items[:size], rng), values[:size], owner, vectors)
                for _ in range(_N_DRAWS)
            ]
            known = [one for one in drawn if not math.isnan(one)]
            random[latent] = float(np.mean(known)) if known else math.nan
    return Coherence(own, random)


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
