"""Concept hit ratio by activation level: does what a latent stands for come on top when it fires?

Source: arXiv 2411.06112, the figure of concept hit ratio against activation level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import sparse

from reclens.concepts.evidence.cases import firing_cases
from reclens.concepts.evidence.latent_evidence import N_LEVELS, activation_levels
from reclens.contracts.tables.concepts import LatentLabel
from reclens.evaluation.carriers import on_top
from reclens.evaluation.statistics import (
    Measurement,
    interval_json,
    json_number,
    mean_or_none,
    spearman,
    statistic_interval,
)

SILENT = 0
"""Level of the cases in which a latent does not fire."""
MIN_FIRING = 30
"""Cases that a latent must fire in. One that fires in fewer than ten fills some levels only, so
that levels would average different latents, and the mean would rise or fall with who is in it."""


@dataclass(frozen=True)
class LevelCounts:
    """Cases of one latent by activation level."""

    cases: np.ndarray
    """int64 [11]: cases at level 0 (silent), 1 (weakest) to 10."""
    hits: np.ndarray
    """int64 [11]: of them, cases whose top item carries the concept."""

    @property
    def hit_ratio(self) -> np.ndarray:
        """float64 [11]; NaN at a level without cases."""
        return np.divide(
            self.hits, self.cases, out=np.full(len(self.cases), np.nan), where=self.cases > 0
        )

    @property
    def average(self) -> float:
        """Share of all cases whose top item carries the concept."""
        return float(self.hits.sum() / self.cases.sum())


def count_levels(
    activations: sparse.csc_matrix, top: np.ndarray, carriers: Mapping[int, np.ndarray]
) -> dict[int, LevelCounts]:
    """Count cases and hits of latents by activation level.

    Levels are equal-frequency bins of one latent's own activations, so a latent that fires in
    fewer than ten cases leaves levels empty.

    Args:
        activations: float [n_cases, n_latents].
        top: int [n_cases], the item on top of each answer, -1 for none.
        carriers: by latent, int [n_carriers], items that carry its concept.
    """
    counts: dict[int, LevelCounts] = {}
    for latent, carries in carriers.items():
        hit = on_top(top, carries)
        rows, values = firing_cases(activations, latent)
        level = np.zeros(len(top), np.int64)
        level[rows] = activation_levels(values)
        counts[latent] = LevelCounts(
            cases=np.bincount(level, minlength=N_LEVELS + 1),
            hits=np.bincount(level, weights=hit, minlength=N_LEVELS + 1).astype(np.int64),
        )
    return counts


def exchanged(carriers: Mapping[int, np.ndarray], *, seed: int) -> dict[int, np.ndarray]:
    """The control: every latent with the carriers of another one.

    Concepts move on by one place in a random order, so that with two latents or more none keeps
    its own place (another latent may have the same concept).
    """
    order = np.random.default_rng(seed).permutation(sorted(carriers))
    return {
        int(latent): carriers[int(other)]
        for latent, other in zip(order, np.roll(order, 1), strict=True)
    }


def measure_levels(
    activations: sparse.csc_matrix,
    top: np.ndarray,
    carriers: Mapping[int, np.ndarray],
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
        carriers: as for `count_levels`.
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
        latent: carries
        for latent, carries in carriers.items()
        if activations.indptr[latent + 1] - activations.indptr[latent] >= MIN_FIRING
    }
    counts = count_levels(activations, top, often)
    control = count_levels(activations, top, exchanged(often, seed=seed))
    metrics = {}
    for name, least in {"labelled": -1.0, "interpretable": interpretable}.items():
        wanted = [latent for latent in carriers if _p(labels[latent]) >= least]
        group = [latent for latent in wanted if latent in counts]
        own = _ratios([counts[latent] for latent in group])
        others = _ratios([control[latent] for latent in group])
        averages = np.array([counts[latent].average for latent in group])
        highest = own[:, N_LEVELS]
        metrics[name] = {
            "latents": len(group),
            "too_rare": len(wanted) - len(group),
            "cases": len(top),
            "hit_ratio": _curve(own, seed),
            "exchanged": _curve(others, seed),
            "average": mean_or_none(averages),
            "rise": interval_json(highest - own[:, 1], seed=seed),
            "above_average": interval_json(highest - averages, seed=seed),
            "rank_correlation": [
                json_number(one) for one in statistic_interval(_rising, own[:, 1:], seed=seed)
            ],
            "above_exchanged": interval_json(highest - others[:, N_LEVELS], seed=seed),
        }
    return Measurement(_table(counts, control), metrics)


def _p(row: LatentLabel) -> float:
    return 0.0 if row.paper_p is None else row.paper_p


def _rising(ratios: np.ndarray) -> float:
    """Rank correlation of level and mean hit ratio, -1 to 1; of [n_latents, 10]."""
    # Means that differ by rounding alone are equal.
    return spearman(np.arange(ratios.shape[1]), np.round(ratios.mean(axis=0), 9))


def _ratios(counts: Sequence[LevelCounts]) -> np.ndarray:
    """float64 [n_latents, 11]."""
    return np.array([one.hit_ratio for one in counts]).reshape(-1, N_LEVELS + 1)


def _curve(ratios: np.ndarray, seed: int) -> list[list[float | None]]:
    """Mean over latents at levels 0 to 10, each with its 95 % interval over latents."""
    return [interval_json(ratios[:, level], seed=seed) for level in range(N_LEVELS + 1)]


def _table(counts: Mapping[int, LevelCounts], control: Mapping[int, LevelCounts]) -> pa.Table:
    levels = np.arange(N_LEVELS + 1)
    latents = np.array(list(counts), np.int32)

    def column(values: list[np.ndarray]) -> pa.Array:
        return pa.array(np.concatenate([np.empty(0, np.int64), *values]), pa.int64())

    return pa.table(
        {
            "latent": pa.array(np.repeat(latents, len(levels)), pa.int32()),
            "level": pa.array(np.tile(levels, len(latents)), pa.int32()),
            "cases": column([one.cases for one in counts.values()]),
            "hits": column([one.hits for one in counts.values()]),
            "exchanged_hits": column([control[latent].hits for latent in counts]),
        }
    )
