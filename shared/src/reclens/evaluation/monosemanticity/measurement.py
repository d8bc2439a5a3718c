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
    Intruders,
    draw_intruders,
    intruder_accuracy,
)
from reclens.evaluation.monosemanticity.item_vectors import NO_ITEM, ItemVectors
from reclens.evaluation.monosemanticity.similarity import (
    N_ITEMS,
    DistinctCases,
    StrongestItems,
    coherence,
    distinct_cases,
    random_case_cosines,
    strongest_items,
)
from reclens.evaluation.statistics import (
    Measurement,
    PopularityDeciles,
    interval_json,
    json_number,
    mean_or_none,
)

_RANDOM_CASES, _INTRUDERS, _COHERENCE = range(3)  # streams of random numbers

MEASURES = (
    "intra",
    "intra_distinct",
    "random_case",
    "coherence",
    "coherence_random",
    "intruder",
    "intruder_hard",
)
"""Columns of ``LATENT_QUALITY``; with ``_text`` behind, by text."""


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
    chosen = _Chosen(cases, items, seed)
    p = np.array([np.nan if row.paper_p is None else row.paper_p for row in labels])
    fires = chosen.found.first != NO_ITEM
    groups = {"interpretable": fires & (p >= interpretable), "firing": fires}
    first_items = [None if item == NO_ITEM else items.ids[item] for item in chosen.found.first]
    columns = {
        "latent": pa.array(range(len(labels)), pa.int32()),
        "paper_p": pa.array(p, from_pandas=True),
        "first_item": pa.array(first_items, pa.string()),
    }
    metrics: dict[str, Any] = {"similarity_text": None}
    for suffix, compared in {"": ItemVectors(vectors), "_text": text}.items():
        if compared is not None:
            measured = chosen.measure(compared)
            metrics[f"similarity{suffix}"] = {
                name: chosen.summary(measured, group, compared) for name, group in groups.items()
            }
        else:
            measured = dict.fromkeys(MEASURES, np.full(len(labels), np.nan))
        for name in MEASURES:
            columns[name + suffix] = pa.array(measured[name], pa.float64(), from_pandas=True)
    return Measurement(pa.table(columns), metrics)


class _Chosen:
    """Cases and items that are compared, the same whatever they are compared by."""

    found: StrongestItems
    members: DistinctCases
    strongest: DistinctCases
    intruders: Intruders

    def __init__(self, cases: Cases, items: Items, seed: int) -> None:
        activations = sparse.csc_matrix(cases.activations)
        self._seed = seed
        self._top = cases.top_items[:, 0].astype(np.int64)
        self._user = cases.user_ids.astype(str)
        self._deciles = PopularityDeciles(self._top, items.popularity)
        self.found = strongest_items(activations, self._top, self._user)
        self.strongest = distinct_cases(activations, self._top, n=N_ITEMS)
        self.members = distinct_cases(activations, self._top, n=N_MEMBERS, user=self._user)
        self.intruders = draw_intruders(
            self.members,
            activations,
            self._top,
            self._user,
            deciles=self._deciles,
            rng=self._rng(_INTRUDERS),
        )

    def measure(self, vectors: ItemVectors) -> Mapping[str, np.ndarray]:
        """By name, float64 [n_latents]."""
        found, members = self.found, self.members.items
        alike = coherence(self.strongest, self._user, vectors, self._deciles, self._rng(_COHERENCE))
        return {
            "intra": vectors.cosines(found.first, found.second),
            "intra_distinct": vectors.cosines(found.first, found.distinct),
            "random_case": random_case_cosines(
                found, self._top, self._user, vectors, self._rng(_RANDOM_CASES)
            ),
            "coherence": alike.own,
            "coherence_random": alike.random,
            "intruder": intruder_accuracy(members, self.intruders.random, vectors),
            "intruder_hard": intruder_accuracy(members, self.intruders.hard, vectors),
        }

    def summary(
        self, measured: Mapping[str, np.ndarray], group: np.ndarray, vectors: ItemVectors
    ) -> dict[str, Any]:
        """Over the latents of ``group``, bool [n_latents]."""
        items = self.found.first[group]
        of = {name: values[group] for name, values in measured.items()}

        def interval(values: np.ndarray) -> list[float | None]:
            return interval_json(values, seed=self._seed)

        return {
            "latents": len(items),
            "intra": mean_or_none(of["intra"]),
            "intra_distinct": mean_or_none(of["intra_distinct"]),
            "random_case": mean_or_none(of["random_case"]),
            "above_random": interval(of["intra_distinct"] - of["random_case"]),
            "inter": json_number(vectors.mean_pairwise(items)),
            "distinct_first_items": len(np.unique(items)),
            "coherence": mean_or_none(of["coherence"]),
            "coherence_random": mean_or_none(of["coherence_random"]),
            "coherence_above_random": interval(of["coherence"] - of["coherence_random"]),
            "intruder_latents": int(np.isfinite(of["intruder"]).sum()),
            "intruder": interval(of["intruder"]),
            "intruder_hard": interval(of["intruder_hard"]),
        }

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, stream])
