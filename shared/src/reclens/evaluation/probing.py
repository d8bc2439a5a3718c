"""Sparse probing by tags: how few latents tell what is on top of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from reclens.data.dataset import Items
from reclens.evaluation.matching_items import MAX_SHARE, MIN_SHARE, MIN_TAGS
from reclens.evaluation.statistics import mean_or_none
from reclens.sae.analysis.sparse_probing import N_FEATURES, SparseProbes, sparse_probe

MAX_TAGS = 20
"""Most frequent tags that are probed at most."""
MAX_CASES = 5000
"""Cases of either side at most."""


@dataclass(frozen=True, eq=False)
class ProbedCases:
    """Cases of one division of users."""

    codes: sparse.csr_matrix
    """float [n_cases, n_latents]."""
    raw: np.ndarray
    """float [n_cases, d_model]: the representations that were encoded."""
    top: np.ndarray
    """int [n_cases]: the item on top of each answer, -1 for none."""

    def sample(self, rng: np.random.Generator) -> ProbedCases:
        """At most ``MAX_CASES`` that have an answer, in order."""
        rows = np.nonzero(self.top >= 0)[0]
        if len(rows) > MAX_CASES:
            rows = np.sort(rng.choice(rows, size=MAX_CASES, replace=False))
        codes = sparse.csr_matrix(self.codes[rows])
        return ProbedCases(codes, self.raw[rows], self.top[rows])


def probe_tags(
    fit: ProbedCases, measure: ProbedCases, items: Items, *, seed: int
) -> dict[str, Any]:
    """Probe for every frequent tag of the item on top.

    Args:
        fit: cases to choose latents and fit on.
        measure: cases of other users.
        items: of the data set.
        seed: of the draw of cases and of the solver.

    Returns:
        ``usable``, tags that are frequent enough and no placeholder; ``tags``, how many of them
        were probed, 0 where they are fewer than ``MIN_TAGS``; ``auroc`` and
        ``balanced_accuracy``, means over tags, each with ``latents`` and ``dimensions`` by number
        of features (as text) and ``full``; and ``by_tag``.
    """
    rng = np.random.default_rng(seed)
    sides = [side.sample(rng) for side in (fit, measure)]
    codes = sparse.csr_array(sparse.vstack([side.codes for side in sides]))
    raw = np.concatenate([side.raw for side in sides])
    train = np.arange(len(raw)) < len(sides[0].top)
    probes: dict[str, SparseProbes] = {}
    usable = _tags(items, sides)
    for tag, carries in usable[:MAX_TAGS] if len(usable) >= MIN_TAGS else ():
        labels = carries[np.concatenate([side.top for side in sides])]
        probes[tag] = sparse_probe(codes, raw, labels, train, seed=seed)
    found = list(probes.values())
    return {
        "usable": len(usable),
        "tags": len(found),
        **{measured: _means(found, measured) for measured in ("auroc", "balanced_accuracy")},
        "by_tag": [
            {
                "tag": tag,
                "share": one.positive_share,
                "latent": one.latents[1].features[0],
                "auroc": one.latents[1].auroc,
                "auroc_dimension": one.dimensions[1].auroc,
                "auroc_full": one.full.auroc,
            }
            for tag, one in probes.items()
        ],
    }


def _tags(items: Items, sides: Sequence[ProbedCases]) -> list[tuple[str, np.ndarray]]:
    """Usable tags with the items that carry them, most frequent first."""
    membership: dict[str, np.ndarray] = {}
    for item, tags in enumerate(items.tags):
        for tag in tags:
            membership.setdefault(tag, np.zeros(len(items), bool))[item] = True
    frequent = []
    for name, carries in membership.items():
        shares = [float(carries[side.top].mean()) for side in sides if len(side.top)]
        if len(shares) == len(sides) and all(MIN_SHARE <= one <= MAX_SHARE for one in shares):
            frequent.append((-shares[0], name))
    return [(name, membership[name]) for _, name in sorted(frequent)]


def _means(probes: Sequence[SparseProbes], measured: str) -> dict[str, Any]:
    def mean(scores: Iterable[Any]) -> float | None:
        return mean_or_none(np.array([getattr(one, measured) for one in scores], float))

    return {
        "latents": {str(n): mean(one.latents[n] for one in probes) for n in N_FEATURES},
        "dimensions": {str(n): mean(one.dimensions[n] for one in probes) for n in N_FEATURES},
        "full": mean(one.full for one in probes),
    }
