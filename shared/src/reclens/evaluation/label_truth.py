"""Labels held against tags: does what is on top when a latent fires carry the label's tags?

Keyword labels are made of the tags in ``items.parquet``. Held against the same tags, on other
users, a label is told to be right about items that it was made right about: latents fire for a few
items, which come on top for test users too, and of thousands of terms some fit them by chance.
Where tags of held-out taggers are known, labels are held against these: a tag that fits by chance
is not given again by others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse
from scipy.stats import pointbiserialr

from reclens.concepts.evidence.item_text import MAX_TERM, clean, popularity_standing
from reclens.concepts.evidence.vocabulary import TagStatement, Vocabulary, tag_statements
from reclens.concepts.labels.rows import names_one_item
from reclens.contracts.tables.concepts import LatentLabel
from reclens.data.dataset import Items
from reclens.data.sources.raw import most_given
from reclens.evaluation.levels import exchanged
from reclens.evaluation.similarity import NO_ITEM, distinct_cases
from reclens.evaluation.statistics import (
    Measurement,
    interval_json,
    json_number,
    statistic_interval,
)

PURITIES = (10, 20, 50)
"""Strongest distinct items of a latent of which the share with the label is taken."""
MEASURES = ("point_biserial", *(f"purity_{n}" for n in PURITIES))
"""Columns of ``LATENT_QUALITY``; with ``shuffled_`` before, with another latent's label."""
_NO_YEAR = -1


class TagTruth:
    """What tags say of items.

    Args:
        items: of the data set. Truth are the most given tags of held-out taggers; where there are
            none, the items' own tags.
        vocabulary: of these items, made as the labels' was.
        labels: that are asked about.
    """

    def __init__(self, items: Items, vocabulary: Vocabulary, labels: Sequence[LatentLabel]) -> None:
        given = items.held_out_tag_users
        self.independent = given is not None
        """Whether nobody whose tags labels are made of gave any of them."""
        tags = items.tags if given is None else most_given(given)
        self.tagged = np.array([bool(one) for one in tags], bool)
        """bool [n_items], whether anything is known of an item."""
        # Other people's tags make the truth of tags, not the vocabulary.
        keywords = {keyword for row in labels for keyword in row.keywords}
        self._statements = tag_statements(vocabulary, keywords, items)
        self._by_tag = _items_by_tag(tags)
        self._years = np.array([_NO_YEAR if year is None else year for year in items.years], int)
        self._standings = np.array(popularity_standing(items.popularity), str)
        self._known: dict[str, np.ndarray] = {}

    def matching(self, row: LatentLabel) -> np.ndarray | None:
        """Items of which any of the label's keywords is true, int [n_matching], rising.

        A keyword is true of an item that has its tags, and is of its time and standing. None where
        tags cannot tell: there is no label, or a keyword without tags (a time, a standing, a word
        of titles, a series or an item alone), which as an alternative to the others would make the
        label right about items that tags know nothing of.
        """
        if row.label is None or self.tag_keywords(row) != len(row.keywords) or not row.keywords:
            return None
        return np.unique(np.concatenate([self._matching_keyword(one) for one in row.keywords]))

    def tag_keywords(self, row: LatentLabel) -> int:
        """How many of the label's keywords have tags."""
        if names_one_item(row.label, row.source):
            return 0
        return sum(keyword in self._statements for keyword in row.keywords)

    def _matching_keyword(self, keyword: str) -> np.ndarray:
        if keyword not in self._known:
            parts = [self._fulfil(one) for one in self._statements[keyword]]
            self._known[keyword] = np.unique(np.concatenate(parts))
        return self._known[keyword]

    def _fulfil(self, statement: TagStatement) -> np.ndarray:
        none = np.empty(0, np.int32)
        items, *others = sorted((self._by_tag.get(tag, none) for tag in statement.tags), key=len)
        if statement.years is not None:
            years = self._years[items]
            items = items[(years >= statement.years.start) & (years < statement.years.stop)]
        if statement.standing:
            items = items[self._standings[items] == statement.standing]
        for other in others:
            items = items[np.isin(items, other, assume_unique=True)]
        return items


def _items_by_tag(tags: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    """int32, rising, by tag, cleaned as labels are."""
    found: dict[str, list[int]] = {}
    for item, own in enumerate(tags):
        for tag in {clean(tag, MAX_TERM) for tag in own}:
            found.setdefault(tag, []).append(item)
    return {tag: np.array(items, np.int32) for tag, items in found.items()}


def measure_label_truth(
    activations: sparse.csc_matrix,
    top: np.ndarray,
    labels: Sequence[LatentLabel],
    items: Items,
    vocabulary: Vocabulary,
    *,
    interpretable: float,
    seed: int,
) -> Measurement:
    """Hold every label whose keywords all have tags against the tags of the items on top.

    Point-biserial: correlation of the activation with whether the item on top carries the label,
    over all cases that have an answer; 0 where no item on top carries it. Purity: share of a
    latent's n strongest distinct items that carry it; latents with fewer are left out. Items of
    which the truth has no tag at all are left out of both.

    Args:
        activations: float [n_cases, n_latents], of ``test`` users.
        top: int [n_cases], the item on top of each answer, -1 for none.
        labels: row j is latent j.
        items: of the data set.
        vocabulary: of these items, made as the labels' was.
        interpretable: least P of the published protocol.
        seed: of the shuffle of labels, the control, and of the intervals.

    Returns:
        Columns of the table ``LATENT_QUALITY``, and under ``label_truth``: ``independent``, whether
        the tags are of people whose tags labels are not made of; and per group ``latents`` that are
        judged; ``without_tag``, latents left out whose label has no tag at all; ``partly``, those
        left out because some of its keywords have none; and for ``point_biserial`` and every
        ``purity_n`` the number of ``latents``, the ``median`` with low and high, ``shuffled``, the
        median with another latent's label, and ``above_shuffled``, the mean difference with low
        and high.
    """
    truth = TagTruth(items, vocabulary, labels)
    firing = np.diff(activations.indptr) > 0
    labelled = [row for row in labels if row.label is not None and firing[row.latent]]
    matching = {
        row.latent: matched for row in labelled if (matched := truth.matching(row)) is not None
    }
    top = np.where((top >= 0) & truth.tagged[top], top, NO_ITEM)
    strongest = distinct_cases(activations, top, n=max(PURITIES)).items
    own = _measures(activations, top, strongest, matching)
    other = _measures(activations, top, strongest, exchanged(matching, seed=seed))
    metrics: dict[str, Any] = {"independent": truth.independent}
    p = [-1.0 if row.paper_p is None else row.paper_p for row in labels]
    for name, least in {"labelled": -1.0, "interpretable": interpretable}.items():
        group = [row for row in labelled if p[row.latent] >= least]
        judged = [row.latent for row in group if row.latent in matching]
        left_out = [truth.tag_keywords(row) for row in group if row.latent not in matching]
        metrics[name] = {
            "latents": len(judged),
            "without_tag": left_out.count(0),
            "partly": len(left_out) - left_out.count(0),
            **{one: _summary(own[one][judged], other[one][judged], seed) for one in MEASURES},
        }
    columns = {
        prefix + name: pa.array(values[name], pa.float64(), from_pandas=True)
        for prefix, values in (("", own), ("shuffled_", other))
        for name in MEASURES
    }
    return Measurement(pa.table(columns), {"label_truth": metrics})


def _measures(
    activations: sparse.csc_matrix,
    top: np.ndarray,
    strongest: np.ndarray,
    matching: Mapping[int, np.ndarray],
) -> dict[str, np.ndarray]:
    """By name, float64 [n_latents]; NaN where a latent is not judged."""
    found = {name: np.full(len(strongest), np.nan) for name in MEASURES}
    answered = np.nonzero(top != NO_ITEM)[0]
    for latent, matched in matching.items():
        values = activations[:, [latent]].toarray()[answered, 0].astype(np.float64)
        found["point_biserial"][latent] = point_biserial(np.isin(top[answered], matched), values)
        items = strongest[latent][strongest[latent] != NO_ITEM]
        for n in PURITIES:
            if len(items) >= n:
                found[f"purity_{n}"][latent] = np.isin(items[:n], matched).mean()
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
        "median": statistic_interval(_median, own, seed=seed).as_json(),
        "shuffled": json_number(_median(other)) if len(other) else None,
        "above_shuffled": interval_json(own - other, seed=seed),
    }


def _median(values: np.ndarray) -> float:
    return float(np.median(values))
