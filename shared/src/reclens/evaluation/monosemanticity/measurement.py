"""Monosemanticity: does a latent stand for one thing? Measurement by what its cases have on top.

Every measure is taken twice, by the recommender's own item vectors and by item text, and has its
control beside it. The vectors are what the autoencoder's input is compared with to rank, so
directions that mean nothing to people may have items close in them; text is what people read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from reclens.concepts.evidence.cases import Cases
from reclens.contracts.tables.concepts import LatentLabel
from reclens.data.dataset import Items
from reclens.evaluation.monosemanticity.intruder import (
    N_MEMBERS,
    draw_intruders,
    intruder_accuracy,
)
from reclens.evaluation.monosemanticity.item_vectors import NO_ITEM, ItemVectors
from reclens.evaluation.monosemanticity.similarity import (
    N_ITEMS,
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
)

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
