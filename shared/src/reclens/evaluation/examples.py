"""Latents to look at: the best-labelled ones, and what they do in cases with and without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from scipy import sparse

from reclens.contracts.tables import EXAMPLES
from reclens.contracts.tables.concepts import LatentLabel
from reclens.evaluation.statistics import Measurement, mean_or_none

MIN_POSITIVE = 50
"""Firing verification cases that an example was judged on at least."""


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


def measure_examples(
    activations: sparse.csc_matrix,
    top: np.ndarray,
    matching: Mapping[int, np.ndarray],
    labels: Sequence[LatentLabel],
    *,
    n: int,
) -> Measurement:
    """The activations of the best-labelled latents that fire, on all cases.

    Args:
        activations: float [n_cases, n_latents].
        top: int [n_cases], the item on top of each answer, -1 for none.
        matching: by latent, as `matching_items` finds them.
        labels: row j is latent j.
        n: latents at most.

    Returns:
        The table ``EXAMPLES``, and under ``examples`` per latent ``latent``, ``label``,
        ``confidence``, ``cases``, ``cases_with``, ``fires_with`` and ``fires_without`` (shares).
    """
    firing = [
        labels[latent]
        for latent in matching
        if activations.indptr[latent + 1] > activations.indptr[latent]
    ]
    tables, described = [EXAMPLES.schema.empty_table()], []
    for row in choose_examples(firing, n):
        values = activations[:, [row.latent]].toarray()[:, 0]
        matched = np.isin(top, matching[row.latent])
        tables.append(
            pa.table(
                {
                    "latent": pa.array([row.latent] * len(top), pa.int32()),
                    "label": pa.array([row.label] * len(top), pa.string()),
                    "activation": pa.array(values, pa.float32()),
                    "with_concept": matched,
                }
            )
        )
        described.append(
            {
                "latent": row.latent,
                "label": row.label,
                "confidence": row.confidence,
                "cases": len(top),
                "cases_with": int(matched.sum()),
                "fires_with": mean_or_none(values[matched] > 0),
                "fires_without": mean_or_none(values[~matched] > 0),
            }
        )
    return Measurement(pa.concat_tables(tables), {"examples": described})
