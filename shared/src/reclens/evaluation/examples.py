"""Latents to look at: the best-labelled ones, and what they do in cases with and without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import sparse

from reclens.concepts.evidence.cases import firing_cases
from reclens.contracts.tables import EXAMPLES
from reclens.contracts.tables.concepts import LatentLabel
from reclens.evaluation.carriers import on_top
from reclens.evaluation.statistics import Measurement, mean_or_none

MIN_POSITIVE = 50
"""Firing verification cases that an example was judged on at least."""


@dataclass(frozen=True, eq=False)
class Example:
    """One latent on all cases of users that its label was neither made nor judged on."""

    row: LatentLabel
    """Row of the latent in the concepts table."""
    activations: np.ndarray
    """float32 [n_cases]; 0 where it is silent."""
    with_concept: np.ndarray
    """bool [n_cases]: whether the item on top carries the label."""


def choose_examples(rows: Iterable[LatentLabel], n: int) -> list[LatentLabel]:
    """The ``n`` trusted latents with the highest confidence, each with another label.

    Confidence was measured on verification users; a latent counts where it was judged on at least
    ``MIN_POSITIVE`` cases that fire it, so that a rare one does not win by luck. Of equal ones the
    lower latent comes first.
    """
    judged = [row for row in rows if row.trusted and row.n_positive >= MIN_POSITIVE]
    judged.sort(key=lambda row: (-(row.confidence or 0.0), row.latent))
    chosen: dict[str, LatentLabel] = {}
    for row in judged:
        if row.label is not None and len(chosen) < n:
            chosen.setdefault(row.label, row)
    return list(chosen.values())


def example(
    row: LatentLabel, activations: sparse.csc_matrix, top: np.ndarray, carries: np.ndarray
) -> Example:
    """Lay out one latent over all cases.

    Args:
        row: its label.
        activations: float [n_cases, n_latents].
        top: int [n_cases], the item on top of each answer, -1 for none.
        carries: int [n_carriers], items that carry the label.
    """
    values = np.zeros(len(top), np.float32)
    rows, strength = firing_cases(activations, row.latent)
    values[rows] = strength
    return Example(row, values, on_top(top, carries))


def measure_examples(
    activations: sparse.csc_matrix,
    top: np.ndarray,
    carriers: Mapping[int, np.ndarray],
    labels: Sequence[LatentLabel],
    *,
    n: int,
) -> Measurement:
    """The activations of the best-labelled latents that fire.

    Returns:
        The table ``EXAMPLES``, and under ``examples`` per latent ``latent``, ``label``,
        ``confidence``, ``cases``, ``cases_with``, ``fires_with`` and ``fires_without`` (shares).
    """
    firing = [
        labels[latent]
        for latent in carriers
        if activations.indptr[latent + 1] > activations.indptr[latent]
    ]
    shown = [
        example(row, activations, top, carriers[row.latent]) for row in choose_examples(firing, n)
    ]
    tables = [
        pa.table(
            {
                "latent": pa.array(np.full(len(top), one.row.latent), pa.int32()),
                "label": pa.array([one.row.label] * len(top), pa.string()),
                "activation": pa.array(one.activations, pa.float32()),
                "with_concept": pa.array(one.with_concept, pa.bool_()),
            }
        )
        for one in shown
    ]
    described = [
        {
            "latent": one.row.latent,
            "label": one.row.label,
            "confidence": one.row.confidence,
            "cases": len(one.activations),
            "cases_with": int(one.with_concept.sum()),
            "fires_with": mean_or_none(one.activations[one.with_concept] > 0),
            "fires_without": mean_or_none(one.activations[~one.with_concept] > 0),
        }
        for one in shown
    ]
    table = pa.concat_tables([EXAMPLES.schema.empty_table(), *tables])
    return Measurement(table, {"examples": described})
