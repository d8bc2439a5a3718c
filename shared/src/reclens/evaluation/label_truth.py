"""Labels held against tags: does what is on top when a latent fires carry the label's tags?

Keyword labels are made of the tags in ``items.parquet``. Held against the same tags, on other
users, a label is told to be right about items that it was made right about: latents fire for a few
items, which come on top for test users too, and of thousands of terms some fit them by chance.
Where tags of held-out taggers are known, labels are held against these: a tag that fits by chance
is not given again by others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse
from scipy.stats import pointbiserialr

from reclens.concepts.grouping import LatentLabel
from reclens.concepts.text import MAX_TERM, clean
from reclens.data.dataset import Items
from reclens.data.tagging import most_given
from reclens.evaluation.bootstrap import statistic_interval
from reclens.evaluation.item_vectors import NO_ITEM
from reclens.evaluation.levels import exchanged
from reclens.evaluation.measured import Measured, interval_json, number
from reclens.evaluation.strongest import distinct_cases

PURITIES = (10, 20, 50)
"""Strongest distinct items of a latent of which the share with the label is taken."""
MEASURES = ("point_biserial", *(f"purity_{n}" for n in PURITIES))
"""Columns of ``LATENT_QUALITY``; with ``shuffled_`` before, with another latent's label."""

_DECADE = re.compile(r"(.+) (\d{3}0)s")


@dataclass(frozen=True, eq=False)
class TagTruth:
    """What tags say of items."""

    independent: bool
    """Whether nobody whose tags labels are made of gave any of them."""
    tags: list[frozenset[str]]
    """By item, cleaned as labels are."""
    years: list[int | None]
    """By item, for tags with a decade."""
    named: frozenset[str]
    """Tags that labels are made of, cleaned."""

    @classmethod
    def of(cls, items: Items) -> TagTruth:
        """The most given tags of held-out taggers; where there are none, the items' own tags."""
        given = items.held_out_tag_users
        tags = items.tags if given is None else most_given(given)
        return cls(
            independent=given is not None,
            tags=[frozenset(clean(tag, MAX_TERM) for tag in one) for one in tags],
            years=items.years,
            named=frozenset(clean(tag, MAX_TERM) for one in items.tags for tag in one),
        )

    def carriers(self, row: LatentLabel) -> np.ndarray | None:
        """Items that carry any of the label's keywords, bool [n_items].

        Words of titles and decades alone are no tags and do not count; None where a latent has no
        label, or its label no tag.
        """
        stated = [one for keyword in row.keywords if (one := self._stated(keyword)) is not None]
        if row.label is None or not stated:
            return None
        return np.array(
            [
                any(
                    wanted <= tags and (decade is None or (year or -1) // 10 * 10 == decade)
                    for wanted, decade in stated
                )
                for tags, year in zip(self.tags, self.years, strict=True)
            ]
        )

    def _stated(self, keyword: str) -> tuple[frozenset[str], int | None] | None:
        """Tags, and decade, that a keyword asks for: it is a tag, a tag with a decade or a pair."""
        if keyword in self.named:
            return frozenset([keyword]), None
        dated = _DECADE.fullmatch(keyword)
        if dated and dated[1] in self.named:
            return frozenset([dated[1]]), int(dated[2])
        words = keyword.split(" ")
        for place in range(1, len(words)):
            pair = frozenset([" ".join(words[:place]), " ".join(words[place:])])
            if pair <= self.named:
                return pair, None
        return None


def measure_label_truth(
    activations: sparse.csc_matrix,
    top: np.ndarray,
    labels: Sequence[LatentLabel],
    items: Items,
    *,
    interpretable: float,
    seed: int,
) -> Measured:
    """Hold every label that has a tag against the tags of the items on top.

    Point-biserial: correlation of the activation with whether the item on top carries the label,
    over all cases that have an answer; 0 where no item on top carries it. Purity: share of a
    latent's n strongest distinct items that carry it; latents with fewer are left out. Items of
    which the truth has no tag at all are left out of both.

    Args:
        activations: float [n_cases, n_latents], of ``test`` users.
        top: int [n_cases], the item on top of each answer, -1 for none.
        labels: row j is latent j.
        items: of the data set.
        interpretable: least P of the published protocol.
        seed: of the shuffle of labels, the control, and of the intervals.

    Returns:
        Columns of the table ``LATENT_QUALITY``, and under ``label_truth``: ``independent``, whether
        the tags are of people whose tags labels are not made of; and per group ``latents`` that are
        judged, and for ``point_biserial`` and every ``purity_n`` the number of ``latents``, the
        ``median`` with low and high, ``shuffled``, the median with another latent's label, and
        ``above_shuffled``, the mean difference with low and high.
    """
    truth = TagTruth.of(items)
    carriers = {
        row.latent: carries
        for row in labels
        if activations.indptr[row.latent + 1] > activations.indptr[row.latent]
        and (carries := truth.carriers(row)) is not None
    }
    tagged = np.array([bool(tags) for tags in truth.tags])
    top = np.where((top >= 0) & tagged[top], top, NO_ITEM)
    strongest = distinct_cases(activations, top, n=max(PURITIES)).items
    own = _measures(activations, top, strongest, carriers)
    other = _measures(activations, top, strongest, exchanged(carriers, seed=seed))
    p = np.array([-1.0 if row.paper_p is None else row.paper_p for row in labels])
    judged = np.isin(np.arange(len(labels)), list(carriers))
    metrics: dict[str, Any] = {"independent": truth.independent}
    for name, group in {"labelled": judged, "interpretable": judged & (p >= interpretable)}.items():
        metrics[name] = {
            "latents": int(group.sum()),
            **{one: _summary(own[one][group], other[one][group], seed) for one in MEASURES},
        }
    columns = {
        prefix + name: pa.array(values[name], pa.float64(), from_pandas=True)
        for prefix, values in (("", own), ("shuffled_", other))
        for name in MEASURES
    }
    return Measured(pa.table(columns), {"label_truth": metrics})


def _measures(
    activations: sparse.csc_matrix,
    top: np.ndarray,
    strongest: np.ndarray,
    carriers: Mapping[int, np.ndarray],
) -> dict[str, np.ndarray]:
    """By name, float64 [n_latents]; NaN where a latent is not judged."""
    found = {name: np.full(len(strongest), np.nan) for name in MEASURES}
    answered = np.nonzero(top != NO_ITEM)[0]
    for latent, carries in carriers.items():
        values = np.zeros(len(top))
        inside = slice(activations.indptr[latent], activations.indptr[latent + 1])
        values[activations.indices[inside]] = activations.data[inside]
        found["point_biserial"][latent] = point_biserial(carries[top[answered]], values[answered])
        items = strongest[latent][strongest[latent] != NO_ITEM]
        for n in PURITIES:
            if len(items) >= n:
                found[f"purity_{n}"][latent] = carries[items[:n]].mean()
    return found


def point_biserial(carries: np.ndarray, values: np.ndarray) -> float:
    """Correlation of bool [n] with float [n]; 0 where either is constant.

    Source: R. F. Tate, Correlation between a discrete and a continuous variable,
    Ann. Math. Statist. 25 (1954).
    """
    if carries.all() or not carries.any() or np.ptp(values) == 0:
        return 0.0
    return float(np.asarray(pointbiserialr(carries, values))[0])


def _summary(own: np.ndarray, other: np.ndarray, seed: int) -> dict[str, Any]:
    known = np.isfinite(own)
    own, other = own[known], other[known]
    return {
        "latents": len(own),
        "median": [number(one) for one in statistic_interval(_median, own, seed=seed)],
        "shuffled": number(_median(other)) if len(other) else None,
        "above_shuffled": interval_json(own - other, seed=seed),
    }


def _median(values: np.ndarray) -> float:
    return float(np.median(values))
