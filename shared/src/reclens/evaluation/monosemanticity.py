"""Monosemanticity: does a latent stand for one thing? Measurement by what its cases have on top.

Every measure is taken twice, by the recommender's own item vectors and by item text, and has its
control beside it. The vectors are what the autoencoder's input is compared with to rank, so
directions that mean nothing to people may have items close in them; text is what people read.

One of them is the intruder test: can a case that does not fire a latent be told among cases that
do? Source: J. Chang et al., Reading Tea Leaves: How Humans Interpret Topic Models, NIPS 2009, where
people find a strange word among the words of a topic. Here a machine finds a strange item by its
cosines to the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from reclens.concepts.evidence.cases import Cases, firing_cases
from reclens.contracts.tables.concepts import LatentLabel
from reclens.data.dataset import Items
from reclens.evaluation.similarity import (
    N_ITEMS,
    NO_ITEM,
    DistinctCases,
    ItemVectors,
    coherence,
    distinct_cases,
    random_case_cosines,
    second_items,
)
from reclens.evaluation.statistics import (
    Measurement,
    PopularityDeciles,
    interval_json,
    json_number,
    mean_or_none,
    row_means,
)

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


# --- all measures -------------------------------------------------------------------------------

_RANDOM_CASES, _INTRUDERS, _COHERENCE = range(3)  # streams of random numbers


def measure_monosemanticity(
    cases: Cases,
    labels: Sequence[LatentLabel],
    items: Items,
    vectors: np.ndarray,
    text: ItemVectors | None,
    *,
    interpretable: float,
    seed: int,
) -> Measurement:
    """Measure interpretable latents, and all that fire.

    Args:
        cases: of ``test`` users. P was measured on ``verify`` users: on these again, latents chosen
            by P would look better than they are.
        labels: row j is latent j.
        items: of the data set.
        vectors: float [n_items, d_model], the recommender's own.
        text: vectors of the items' text; None where there is none.
        interpretable: least P of the published protocol.
        seed: of the draws of the controls and of the intervals.

    Returns:
        Columns of the table ``LATENT_QUALITY``. Under ``similarity``, and ``similarity_text`` (None
        without text), per group: the number of ``latents`` that fire, ``intra``,
        ``intra_distinct``, ``random_case``, ``inter``, ``distinct_first_items``; ``above_random``,
        what ``intra_distinct`` is above ``random_case``, latent by latent, as mean, low, high;
        ``coherence``, ``coherence_random`` and ``coherence_above_random`` likewise;
        ``intruder_latents``, and ``intruder`` and ``intruder_hard`` as mean, low, high.
    """
    activations = sparse.csc_matrix(cases.activations)
    top, user = cases.top_items[:, 0].astype(np.int64), cases.user_ids.astype(str)
    # Cases and items that are compared are the same whatever they are compared by.
    deciles = PopularityDeciles(top, items.popularity)
    second = second_items(activations, top)
    strongest = distinct_cases(activations, top, n=N_ITEMS)
    members = distinct_cases(activations, top, n=N_MEMBERS, user=user)
    intruders, hard_intruders = draw_intruders(
        members, activations, top, user, deciles=deciles, rng=_rng(seed, _INTRUDERS)
    )
    first, distinct = members.items[:, 0], members.items[:, 1]

    def measure(by: ItemVectors) -> dict[str, np.ndarray]:
        random_case = random_case_cosines(members, top, user, by, _rng(seed, _RANDOM_CASES))
        own, random = coherence(strongest, user, by, deciles, _rng(seed, _COHERENCE))
        return {
            "intra": by.cosines(first, second),
            "intra_distinct": by.cosines(first, distinct),
            "random_case": random_case,
            "coherence": own,
            "coherence_random": random,
            "intruder": intruder_accuracy(members.items, intruders, by),
            "intruder_hard": intruder_accuracy(members.items, hard_intruders, by),
        }

    p = np.array([np.nan if row.paper_p is None else row.paper_p for row in labels])
    fires = first != NO_ITEM
    groups = {"interpretable": fires & (p >= interpretable), "firing": fires}
    first_items = [None if item == NO_ITEM else items.ids[item] for item in first]
    columns = {
        "latent": pa.array(range(len(labels)), pa.int32()),
        "paper_p": pa.array(p, from_pandas=True),
        "first_item": pa.array(first_items, pa.string()),
    }
    metrics: dict[str, Any] = {"similarity_text": None}
    measured: dict[str, np.ndarray] = {}
    for suffix, by in {"": ItemVectors(vectors), "_text": text}.items():
        if by is None:
            measured = {name: np.full(len(labels), np.nan) for name in measured}
        else:
            measured = measure(by)
            metrics[f"similarity{suffix}"] = {
                name: _summary(measured, group, first, by, seed) for name, group in groups.items()
            }
        for name, values in measured.items():
            columns[name + suffix] = pa.array(values, pa.float64(), from_pandas=True)
    return Measurement(pa.table(columns), metrics)


def _rng(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, stream])


def _summary(
    measured: Mapping[str, np.ndarray],
    group: np.ndarray,
    first: np.ndarray,
    by: ItemVectors,
    seed: int,
) -> dict[str, Any]:
    """Over the latents of ``group``, bool [n_latents]."""
    of = {name: values[group] for name, values in measured.items()}
    items = first[group]
    above_random = of["intra_distinct"] - of["random_case"]
    coherence_above_random = of["coherence"] - of["coherence_random"]
    means = ("intra", "intra_distinct", "random_case", "coherence", "coherence_random")
    return {
        "latents": len(items),
        **{name: mean_or_none(of[name]) for name in means},
        "above_random": interval_json(above_random, seed=seed),
        "inter": json_number(by.mean_pairwise(items)),
        "distinct_first_items": len(np.unique(items)),
        "coherence_above_random": interval_json(coherence_above_random, seed=seed),
        "intruder_latents": int(np.isfinite(of["intruder"]).sum()),
        "intruder": interval_json(of["intruder"], seed=seed),
        "intruder_hard": interval_json(of["intruder_hard"], seed=seed),
    }
