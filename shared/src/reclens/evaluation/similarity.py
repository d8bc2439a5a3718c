"""Monosemanticity by item embeddings: one latent's cases are alike, different latents' are not.

Source: arXiv 2411.06112. Intra-latent similarity is the cosine between the items of a latent's two
strongest cases (higher is better), inter-latent similarity the mean pairwise cosine between the
strongest items of different latents (lower is better). Neighbouring prefixes of one history often
have the same item on top, which makes the former 1 without meaning anything; so beside it stands
the same with the second item taken from another user and different from the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import sparse

from reclens.concepts.cases import Cases
from reclens.concepts.grouping import LatentLabel
from reclens.evaluation.measured import Measured, known_mean, number

_NONE = -1


@dataclass(frozen=True, eq=False)
class StrongestItems:
    """Items on top of each latent's strongest cases; -1 where there is no such case."""

    first: np.ndarray
    """int64 [n_latents]: of the strongest case."""
    second: np.ndarray
    """int64 [n_latents]: of the second strongest."""
    distinct: np.ndarray
    """int64 [n_latents]: of the strongest case of another user with another item."""


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
    found = np.full((3, n_latents), _NONE, np.int64)
    for latent in range(n_latents):
        inside = slice(activations.indptr[latent], activations.indptr[latent + 1])
        rows, values = activations.indices[inside], np.asarray(activations.data[inside])
        rows, values = rows[top[rows] >= 0], values[top[rows] >= 0]
        ordered = rows[np.lexsort((rows, np.negative(values)))]
        if not len(ordered):
            continue
        first = ordered[0]
        found[0, latent] = top[first]
        if len(ordered) > 1:
            found[1, latent] = top[ordered[1]]
        others = ordered[(top[ordered] != top[first]) & (user[ordered] != user[first])]
        if len(others):
            found[2, latent] = top[others[0]]
    return StrongestItems(*found)


def pair_cosines(first: np.ndarray, second: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Cosine between two items for each latent, float64 [n]; NaN where either is missing.

    Args:
        first: int [n], item indices or -1.
        second: int [n], likewise.
        vectors: float [n_items, d_model], one per item.
    """
    unit = _unit(vectors)
    known = (first != _NONE) & (second != _NONE)
    cosines = np.full(len(first), np.nan)
    cosines[known] = np.einsum("nd,nd->n", unit[first[known]], unit[second[known]])
    return cosines


def mean_pairwise_cosine(items: np.ndarray, vectors: np.ndarray) -> float:
    """Mean cosine over all pairs of different positions of ``items`` [n]; NaN below two."""
    unit = _unit(vectors)[items[items != _NONE]]
    n = len(unit)
    if n < 2:
        return math.nan
    total = unit.sum(axis=0)
    # The sum over all pairs, less each vector with itself.
    return float((total @ total - np.einsum("nd,nd->", unit, unit)) / (n * (n - 1)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(norms > 0, norms, 1.0)


def measure_similarity(
    cases: Sequence[Cases],
    labels: Sequence[LatentLabel],
    vectors: np.ndarray,
    item_ids: Sequence[str],
    *,
    interpretable: float,
    seed: int,
) -> Measured:
    """Intra- and inter-latent similarity of interpretable and of all firing latents.

    Args:
        cases: of users that the autoencoder was not trained on.
        labels: row j is latent j.
        vectors: float [n_items, d_model], one per item.
        item_ids: external ids by item index.
        interpretable: least P of the published protocol.
        seed: of the random pairs, the control of the intra-latent similarity.

    Returns:
        The table ``LATENT_QUALITY``, and per group the number of ``latents``, ``intra``,
        ``intra_distinct``, ``random_pairs``, ``inter`` and ``distinct_first_items``.
    """
    activations = sparse.csc_matrix(sparse.vstack([one.activations for one in cases]))
    top = np.concatenate([one.top_items[:, 0] for one in cases])
    user = np.concatenate([one.user_ids.astype(str) for one in cases])
    found = strongest_items(activations, top, user)
    intra = pair_cosines(found.first, found.second, vectors)
    distinct = pair_cosines(found.first, found.distinct, vectors)
    p = np.array([np.nan if row.paper_p is None else row.paper_p for row in labels])
    first_items = [None if item == _NONE else item_ids[item] for item in found.first]
    table = pa.table(
        {
            "latent": pa.array(range(len(labels)), pa.int32()),
            "paper_p": pa.array(p, from_pandas=True),
            "intra": pa.array(intra, from_pandas=True),
            "intra_distinct": pa.array(distinct, from_pandas=True),
            "first_item": pa.array(first_items, pa.string()),
        }
    )
    fires = found.first != _NONE
    rng = np.random.default_rng(seed)
    metrics = {}
    for name, group in {"interpretable": fires & (p >= interpretable), "firing": fires}.items():
        items = found.first[group]
        metrics[name] = {
            "latents": len(items),
            "intra": known_mean(intra[group]),
            "intra_distinct": known_mean(distinct[group]),
            "random_pairs": known_mean(pair_cosines(items, rng.permutation(items), vectors)),
            "inter": number(mean_pairwise_cosine(items, vectors)),
            "distinct_first_items": len(np.unique(items)),
        }
    return Measured(table, metrics)
