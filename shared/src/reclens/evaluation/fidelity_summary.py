"""The fidelity table: per-user rows in sum, for test users and for all held-out users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reclens.evaluation.statistics import interval_json, json_number, mean_interval

TEST = "test"
"""Users that nothing was made from or judged on."""
HELD_OUT = "held_out"
"""All users that the autoencoder was not trained on."""

_KEYS = frozenset({"user_id", "user_index", "split", "origin", "variant"})


def summarise_fidelity(rows: Sequence[dict[str, Any]], *, seed: int) -> dict[str, Any]:
    """Means over users, with 95 % bootstrap intervals.

    Args:
        rows: the table ``FIDELITY``, at least one row.
        seed: of the intervals.

    Returns:
        By origin, then ``test`` or ``held_out``: ``users``; under ``variants`` every measure and
        under ``intervals`` its interval; and under ``difference`` each variant's NDCG at the second
        shortest list less the base's, user by user: mean, low, high.
    """
    summary: dict[str, Any] = {}
    for origin in dict.fromkeys(row["origin"] for row in rows):
        of_origin = [row for row in rows if row["origin"] == origin]
        groups = {
            TEST: [row for row in of_origin if row["split"] == TEST],
            HELD_OUT: of_origin,
        }
        summary[origin] = {name: _group(group, seed) for name, group in groups.items() if group}
    return summary


def _group(rows: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    measures = [name for name in rows[0] if name not in _KEYS]
    by_variant: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_variant.setdefault(row["variant"], []).append(row)
    values = {
        variant: {name: np.array([row[name] for row in own], float) for name in measures}
        for variant, own in by_variant.items()
    }
    found: dict[str, Any] = {"users": len(next(iter(by_variant.values())))}
    ndcg = [name for name in measures if name.startswith("ndcg@")]
    compared = ndcg[min(1, len(ndcg) - 1)]
    base = values["base"][compared]
    found["variants"] = {variant: _means(own, seed) for variant, own in values.items()}
    found["difference"] = {
        variant: {compared: interval_json(own[compared] - base, seed=seed)}
        for variant, own in values.items()
        if variant != "base"
    }
    return found


def _means(values: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
    intervals = {name: mean_interval(own, seed=seed) for name, own in values.items()}
    return {
        **{name: json_number(one.mean) for name, one in intervals.items()},
        "intervals": {
            name: [json_number(one.low), json_number(one.high)] for name, one in intervals.items()
        },
    }
