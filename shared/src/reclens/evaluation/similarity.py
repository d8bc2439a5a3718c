"""Monosemanticity by item embeddings: one latent's cases are alike, different latents' are not.

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
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import sparse

from reclens.concepts.cases import Cases
from reclens.concepts.grouping import LatentLabel
from reclens.evaluation.measured import Measured, interval_json, known_mean, number

_NONE = -1
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
    found = np.full((4, n_latents), _NONE, np.int64)
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
    vectors: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """The control of ``distinct``: cosine to the item of random cases, float64 [n_latents].

    Cases are drawn from all, whatever fires in them; those of the same user, with the same item or
    without an answer are left out. NaN where nothing is left.

    Args:
        found: strongest case of each latent and its item.
        top: int [n_cases], the item on top of each answer, -1 for none.
        user: [n_cases], whose case it is.
        vectors: float [n_items, d_model].
        rng: of the draws.
    """
    first, owner = found.first, user[found.case]
    drawn = rng.integers(len(top), size=(len(first), _N_RANDOM))
    other = (top[drawn] != first[:, None]) & (user[drawn] != owner[:, None])
    others = np.where(other, top[drawn], _NONE)
    cosines = pair_cosines(np.repeat(first, _N_RANDOM), others.ravel(), vectors)
    cosines = cosines.reshape(len(first), _N_RANDOM)
    known = np.isfinite(cosines)
    total = np.where(known, cosines, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.divide(total, count, out=np.full(len(first), np.nan), where=count > 0)


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
    cases: Cases,
    labels: Sequence[LatentLabel],
    vectors: np.ndarray,
    item_ids: Sequence[str],
    *,
    interpretable: float,
    seed: int,
) -> Measured:
    """Intra- and inter-latent similarity of interpretable and of all firing latents.

    Args:
        cases: of ``test`` users. P was measured on ``verify`` users: on these again, latents chosen
            by P would look better than they are.
        labels: row j is latent j.
        vectors: float [n_items, d_model], one per item.
        item_ids: external ids by item index.
        interpretable: least P of the published protocol.
        seed: of the random cases, the control of ``intra_distinct``, and of the intervals.

    Returns:
        The table ``LATENT_QUALITY``, and per group the number of ``latents`` that fire,
        ``intra``, ``intra_distinct``, ``random_case``, ``inter``, ``distinct_first_items``, and
        ``above_random``: what ``intra_distinct`` is above ``random_case``, latent by latent, as
        mean, low, high.
    """
    activations, top = sparse.csc_matrix(cases.activations), cases.top_items[:, 0]
    user = cases.user_ids.astype(str)
    found = strongest_items(activations, top, user)
    intra = pair_cosines(found.first, found.second, vectors)
    distinct = pair_cosines(found.first, found.distinct, vectors)
    random_case = random_case_cosines(found, top, user, vectors, np.random.default_rng(seed))
    p = np.array([np.nan if row.paper_p is None else row.paper_p for row in labels])
    first_items = [None if item == _NONE else item_ids[item] for item in found.first]
    table = pa.table(
        {
            "latent": pa.array(range(len(labels)), pa.int32()),
            "paper_p": pa.array(p, from_pandas=True),
            "intra": pa.array(intra, from_pandas=True),
            "intra_distinct": pa.array(distinct, from_pandas=True),
            "random_case": pa.array(random_case, from_pandas=True),
            "first_item": pa.array(first_items, pa.string()),
        }
    )
    fires = found.first != _NONE
    metrics = {}
    for name, group in {"interpretable": fires & (p >= interpretable), "firing": fires}.items():
        items = found.first[group]
        metrics[name] = {
            "latents": len(items),
            "intra": known_mean(intra[group]),
            "intra_distinct": known_mean(distinct[group]),
            "random_case": known_mean(random_case[group]),
            "above_random": interval_json(distinct[group] - random_case[group], seed=seed),
            "inter": number(mean_pairwise_cosine(items, vectors)),
            "distinct_first_items": len(np.unique(items)),
        }
    return Measured(table, metrics)
