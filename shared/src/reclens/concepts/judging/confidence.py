"""Confidence: how well a label predicts, on users it was not made from, when its latent fires.

`HeldOutCases` are what judges are asked about; `measure_confidence` holds their scores against what
the latent did.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from reclens.concepts.evidence.cases import Cases, strongest_activation
from reclens.concepts.evidence.classification_metrics import Confusion, auroc, wilson_interval
from reclens.concepts.evidence.latent_evidence import N_LEVELS, Evidence, activation_levels
from reclens.contracts import JudgeName
from reclens.contracts.specs.concepts import PAPER_CASES
from reclens.contracts.tables.concepts import Judgement

MIN_POSITIVE = 5
"""A label with fewer firing verification cases is left without confidence."""
TRUSTED_CONFIDENCE = 0.7
"""Least confidence of a trusted label."""

_PAPER_LEVEL = 5
_PAPER_STRONGEST = 10
# A hard negative is drawn from this share of the silent cases, the most similar ones.
_HARD_SHARE = 0.1


@dataclass(frozen=True)
class JudgedCases:
    """Cases that a judge is asked about."""

    rows: np.ndarray
    """int64 [n]: rows of the cases."""
    fires: np.ndarray
    """bool [n]: whether the latent fires there."""


def sample_cases(
    values: np.ndarray, similarity: np.ndarray, n_judged: int, rng: np.random.Generator
) -> JudgedCases:
    """Choose up to ``n_judged`` firing cases and as many silent ones.

    Positives are stratified: the same number from each of the ten activation levels, not only the
    strongest, for which any label looks right. Negatives are half random and half hard: silent
    cases whose answers are the most like those of the positives, so that a label that merely names
    what is popular, or what its neighbours share, is found out.

    Args:
        values: float [n_cases], activation of the latent, 0 where it is silent.
        similarity: float [n_cases], how much each case's answer resembles what fires the latent.
        n_judged: positives at most.
        rng: of the draws.
    """
    firing = np.nonzero(values > 0)[0]
    silent = np.nonzero(values <= 0)[0]
    positives = _stratified(firing, activation_levels(values[firing]), n_judged, rng)
    wanted = min(len(positives), len(silent))
    n_hard = wanted // 2
    by_similarity = silent[np.argsort(-similarity[silent], kind="stable")]
    pool = by_similarity[: max(n_hard, math.ceil(_HARD_SHARE * len(silent)))]
    hard = rng.choice(pool, size=n_hard, replace=False)
    others = np.ones(len(values), bool)
    others[hard] = False
    easy = rng.choice(silent[others[silent]], size=wanted - n_hard, replace=False)
    negatives = np.sort(np.concatenate([hard, easy]))
    rows = np.concatenate([positives, negatives])
    return JudgedCases(rows, np.arange(len(rows)) < len(positives))


def best_threshold(scores: np.ndarray, fires: np.ndarray) -> float:
    """The threshold ``score >= t`` with the best balanced accuracy; the highest of equals.

    Candidates lie midway between neighbouring scores, and above the highest one; that one answers
    "silent" to everything and is only taken where no other is better than chance.
    """
    levels = np.unique(scores)
    if len(levels) < 2 or fires.all() or not fires.any():
        return math.inf
    above_positive = _count_from(scores[fires], levels)
    above_negative = _count_from(scores[~fires], levels)
    # Entry i: share of cases with a score of at least levels[i].
    gain = above_positive / fires.sum() - above_negative / (~fires).sum()
    best = len(gain) - 1 - int(np.argmax(gain[::-1]))
    if gain[best] <= 0:
        return math.inf
    return float((levels[best - 1] + levels[best]) / 2) if best else float(levels[0])


def _count_from(scores: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Number of scores of at least each level, int64 [n_levels]."""
    return len(scores) - np.searchsorted(np.sort(scores), levels, side="left")


def measure_confidence(
    judge: JudgeName,
    scores: np.ndarray,
    values: np.ndarray,
    threshold: float,
    *,
    judged: JudgedCases,
    rng: np.random.Generator,
) -> Judgement | None:
    """Hold a label's scores against what its latent did; None below five firing cases.

    The counts are over positives of all levels, and negatives half random, half hard; the area
    under the ROC curve is over all verification cases.

    Args:
        judge: whose scores they are.
        scores: float [n_cases], the judge's score of each verification case.
        values: float [n_cases], activation of the latent in these cases, 0 where silent.
        threshold: from `best_threshold` on the construct users.
        judged: cases of the yes-or-no judgement, from `sample_cases` on the same cases.
        rng: of the draw of the published protocol's cases.
    """
    fires = values > 0
    if int(fires.sum()) < MIN_POSITIVE or fires.all():
        return None
    predicted = scores >= threshold
    area = auroc(rankdata(scores), fires)
    return judgement_of(judge, predicted, judged, area, paper_cases(values, rng))


def judgement_of(
    judge: JudgeName,
    predicted: np.ndarray,
    judged: JudgedCases,
    auroc: float,
    paper: JudgedCases | None,
) -> Judgement:
    """What a judge achieved, as the table keeps it.

    A label is trusted with a confidence of at least 0.7, if it is better than chance even where
    recall and specificity are both at the lower end of their 95 % Wilson intervals.

    Args:
        judge: who says so.
        predicted: bool [n_cases], whether the judge says that the latent fires.
        judged: the cases that are counted.
        auroc: area under the ROC curve of the graded score.
        paper: from `paper_cases`.
    """
    counts = Confusion.of(predicted[judged.rows], judged.fires)
    recall_low, recall_high = wilson_interval(counts.true_positive, counts.n_positive)
    specificity_low, specificity_high = wilson_interval(counts.true_negative, counts.n_negative)
    confidence, paper_p = counts.balanced_accuracy, None
    if paper is not None:
        paper_p = Confusion.of(predicted[paper.rows], paper.fires).accuracy
    return Judgement(
        judge=judge,
        confidence=confidence,
        precision=counts.precision,
        recall=counts.recall,
        recall_low=recall_low,
        recall_high=recall_high,
        specificity=counts.specificity,
        specificity_low=specificity_low,
        specificity_high=specificity_high,
        auroc=auroc,
        paper_p=paper_p,
        n_positive=counts.n_positive,
        n_negative=counts.n_negative,
        trusted=confidence >= TRUSTED_CONFIDENCE and recall_low + specificity_low > 1,
    )


def _stratified(
    firing: np.ndarray, levels: np.ndarray, wanted: int, rng: np.random.Generator
) -> np.ndarray:
    if len(firing) <= wanted:
        return firing
    quota = np.full(N_LEVELS, wanted // N_LEVELS)
    quota[rng.permutation(N_LEVELS)[: wanted % N_LEVELS]] += 1
    drawn = [
        rng.choice(
            firing[levels == level], size=min(size, int((levels == level).sum())), replace=False
        )
        for level, size in enumerate(quota, start=1)
    ]
    return np.sort(np.concatenate(drawn))


def paper_cases(values: np.ndarray, rng: np.random.Generator) -> JudgedCases | None:
    """Cases of the published protocol: up to 5 of the 10 strongest, as many random silent ones.

    Args:
        values: float [n_cases], activation of the latent, 0 where it is silent.
        rng: of the draws.

    Returns:
        None without a case of level 5 or more, or without a silent one.
    """
    firing = np.nonzero(values > 0)[0]
    strong = firing[activation_levels(values[firing]) >= _PAPER_LEVEL]
    strongest = strong[np.argsort(-values[strong], kind="stable")][:_PAPER_STRONGEST]
    silent = np.nonzero(values <= 0)[0]
    size = min(PAPER_CASES, len(strongest), len(silent))
    if size == 0:
        return None
    positives = rng.choice(strongest, size=size, replace=False)
    negatives = rng.choice(silent, size=size, replace=False)
    rows = np.concatenate([positives, negatives])
    return JudgedCases(rows, np.arange(len(rows)) < size)


CONSTRUCT: Literal[0] = 0
VERIFY: Literal[1] = 1
SideIndex = Literal[0, 1]


class HeldOutCases:
    """What judges are asked about. Safe to share between threads.

    Args:
        construct: cases of the users that labels are made from.
        verify: cases of other users.
        evidence: of the ``construct`` cases.
        scale: float [n_latents], unit of each latent's activation.
        seed: of all draws.
    """

    def __init__(
        self, construct: Cases, verify: Cases, *, evidence: Evidence, scale: np.ndarray, seed: int
    ) -> None:
        self._evidence = evidence
        self._scale = np.where(scale > 0, scale, 1.0)
        self._seed = seed
        self._sides = (construct, verify)
        self._answers = tuple(one.item_weights(len(evidence.background)) for one in self._sides)

    def values(self, side: SideIndex, latents: Sequence[int]) -> np.ndarray:
        """The strongest activation of any of the latents, float64 [n_cases], in their units."""
        return strongest_activation(self._sides[side].by_latent, latents, self._scale)

    def scores(self, side: SideIndex, item_scores: np.ndarray) -> np.ndarray:
        """What each case's answer scores, float64 [n_cases], from what each item does."""
        # Rounding makes equal sums equal: their order within a row must not decide a tie.
        return np.round(np.asarray(self._answers[side] @ item_scores), 9)

    def sample(
        self, side: SideIndex, latents: Sequence[int], n_judged: int, stream: Sequence[int]
    ) -> JudgedCases:
        """Firing and silent cases to ask about, see `sample_cases`; the same for one stream."""
        profile = np.asarray(self._evidence.item_shares[list(latents)].sum(axis=0)).ravel()
        return sample_cases(
            self.values(side, latents),
            self._answers[side] @ profile,
            n_judged,
            self.rng([*stream, side]),
        )

    def top_items(self, side: SideIndex, rows: np.ndarray, n: int) -> np.ndarray:
        """The first ``n`` items of the answers, int32 [len(rows), n]; -1 pads."""
        return self._sides[side].top_items[rows, :n]

    def rng(self, stream: Sequence[int]) -> np.random.Generator:
        """Random numbers of one purpose."""
        return np.random.default_rng([self._seed, *stream])
