"""Concept hit ratio by activation level: does what a latent stands for come on top when it fires?
And latents to look at: the best-labelled ones, and what they do in cases with and without.

Source: arXiv 2411.06112, the figure of concept hit ratio against activation level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy import sparse

from reclens.concepts.evidence.cases import firing_cases
from reclens.concepts.evidence.latent_evidence import N_LEVELS, activation_levels
from reclens.contracts.tables import EXAMPLES
from reclens.contracts.tables.concepts import LatentLabel
from reclens.evaluation.statistics import (
    Measurement,
    interval_json,
    mean_or_none,
    spearman,
    statistic_interval,
)

SILENT = 0
"""Level of the cases in which a latent does not fire."""
MIN_FIRING = 30
"""Cases that a latent must fire in. One that fires in fewer than ten fills some levels only, so
that levels would average different latents, and the mean would rise or fall with who is in it."""


class LevelCounts(NamedTuple):
    """Cases of latents by activation level: 0 (silent), 1 (weakest) to 10."""

    cases: np.ndarray
    """int64 [n_latents, 11]: cases of each level."""
    hits: np.ndarray
    """int64 [n_latents, 11]: of them, cases whose top item matches the label."""

    @property
    def hit_ratio(self) -> np.ndarray:
        """float64 [n_latents, 11]; NaN at a level without cases."""
        unknown = np.full(self.cases.shape, np.nan)
        return np.divide(self.hits, self.cases, out=unknown, where=self.cases > 0)

    @property
    def average(self) -> np.ndarray:
        """Share of all cases whose top item matches the label, float64 [n_latents]."""
        return self.hits.sum(axis=1) / self.cases.sum(axis=1)


def count_levels(
    activations: sparse.csc_matrix, top: np.ndarray, matching: Mapping[int, np.ndarray]
) -> LevelCounts:
    """Count cases and hits of latents by activation level.

    Levels are equal-frequency bins of one latent's own activations, so a latent that fires in
    fewer than ten cases leaves levels empty.

    Args:
        activations: float [n_cases, n_latents].
        top: int [n_cases], the item on top of each answer, -1 for none.
        matching: by latent, as `matching_items` finds them; rows of the result are in its order.
    """
    cases, hits = np.zeros((2, len(matching), N_LEVELS + 1), np.int64)
    for place, (latent, matched) in enumerate(matching.items()):
        rows, values = firing_cases(activations, latent)
        level = np.full(len(top), SILENT)
        level[rows] = activation_levels(values)
        cases[place] = np.bincount(level, minlength=N_LEVELS + 1)
        hits[place] = np.bincount(level[np.isin(top, matched)], minlength=N_LEVELS + 1)
    return LevelCounts(cases, hits)


def exchanged(matching: Mapping[int, np.ndarray], *, seed: int) -> dict[int, np.ndarray]:
    """The control: every latent with the items that match another one's label.

    Labels move on by one place in a random order, so that with two latents or more none keeps its
    own place (another latent may have the same label).
    """
    order = np.random.default_rng(seed).permutation(sorted(matching))
    other = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    return {latent: matching[other[latent]] for latent in matching}


def measure_levels(
    activations: sparse.csc_matrix,
    top: np.ndarray,
    matching: Mapping[int, np.ndarray],
    labels: Sequence[LatentLabel],
    *,
    interpretable: float,
    seed: int,
) -> Measurement:
    """Hit ratio by level of labelled latents, and of the interpretable among them.

    Only latents that fire in at least ``MIN_FIRING`` cases count, so every level averages the same
    ones.

    Args:
        activations: float [n_cases, n_latents].
        top: int [n_cases], the item on top of each answer, -1 for none.
        matching: as for `count_levels`.
        labels: row j is latent j.
        interpretable: least P of the published protocol.
        seed: of the control and of the intervals.

    Returns:
        The table ``LEVELS``, and per group ``latents``, ``too_rare`` (left out), ``cases``,
        ``hit_ratio`` and ``exchanged`` (mean, low, high by level from 0), ``average``, the hit
        ratio over all cases, and as mean, low, high over latents what the highest level is above
        the lowest (``rise``), the average (``above_average``) and the highest of the exchanged
        labels (``above_exchanged``), and ``rank_correlation``, Spearman's of level and mean hit
        ratio over the levels 1 to 10, with its interval over latents.
    """
    often = {
        latent: matched
        for latent, matched in matching.items()
        if activations.indptr[latent + 1] - activations.indptr[latent] >= MIN_FIRING
    }
    counts = count_levels(activations, top, often)
    control = count_levels(activations, top, exchanged(often, seed=seed))
    p = np.array([row.paper_p or 0.0 for row in labels])
    latents, known = np.array([*often], np.int32), np.array([*matching], np.int32)
    metrics = {}
    for name, least in {"labelled": -1.0, "interpretable": interpretable}.items():
        group = p[latents] >= least
        own, others = counts.hit_ratio[group], control.hit_ratio[group]
        average, highest = counts.average[group], own[:, N_LEVELS]
        metrics[name] = {
            "latents": len(own),
            "too_rare": int((p[known] >= least).sum()) - len(own),
            "cases": len(top),
            "hit_ratio": _curve(own, seed),
            "exchanged": _curve(others, seed),
            "average": mean_or_none(average),
            "rise": interval_json(highest - own[:, 1], seed=seed),
            "above_average": interval_json(highest - average, seed=seed),
            "rank_correlation": statistic_interval(_rising, own[:, 1:], seed=seed).as_json(),
            "above_exchanged": interval_json(highest - others[:, N_LEVELS], seed=seed),
        }
    levels = np.arange(N_LEVELS + 1, dtype=np.int32)
    columns = {
        "latent": np.repeat(latents, len(levels)),
        "level": np.tile(levels, len(latents)),
        "cases": counts.cases.ravel(),
        "hits": counts.hits.ravel(),
        "exchanged_hits": control.hits.ravel(),
    }
    return Measurement(pa.table(columns), metrics)


def _rising(ratios: np.ndarray) -> float:
    """Rank correlation of level and mean hit ratio, -1 to 1; of [n_latents, 10]."""
    # Means that differ by rounding alone are equal.
    return spearman(np.arange(ratios.shape[1]), np.round(ratios.mean(axis=0), 9))


def _curve(ratios: np.ndarray, seed: int) -> list[list[float | None]]:
    """Mean over latents at levels 0 to 10, each with its 95 % interval over latents."""
    return [interval_json(of_level, seed=seed) for of_level in ratios.T]


# --- examples ------------------------------------------------------------------------------------

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
