"""What a judge's predictions are worth: counts to rates, intervals and rank statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reclens.errors import InvalidInput

_Z_95 = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Score interval of a proportion at 95 %; (0, 1) when nothing was tried.

    Raises:
        InvalidInput: ``successes`` is not within 0..``trials``.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    JASA 22 (1927).
    """
    if not 0 <= successes <= trials:
        raise InvalidInput(
            f"{successes} successes of {trials} trials.",
            field="successes",
            remedy="count successes among the trials.",
        )
    if trials == 0:
        return 0.0, 1.0
    z, share = _Z_95, successes / trials
    spread = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / spread
    half = z / spread * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def auroc(score_ranks: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive case scores above a negative one, ties counted half.

    Args:
        score_ranks: average ranks of the scores, float [n_cases] (`scipy.stats.rankdata`); ranks
            are asked for because one score is held against many latents.
        positive: bool [n_cases].

    Returns:
        0..1; NaN where one side is empty.

    Source: H. B. Mann, D. R. Whitney, Annals of Mathematical Statistics 18 (1947).
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if n_positive == 0 or n_negative == 0:
        return math.nan
    above = score_ranks[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))


@dataclass(frozen=True)
class Confusion:
    """Counts of a yes-or-no judge."""

    true_positive: int
    """Firing cases judged to fire."""
    n_positive: int
    """Firing cases judged."""
    true_negative: int
    """Silent cases judged not to fire."""
    n_negative: int
    """Silent cases judged."""

    @classmethod
    def of(cls, predicted: np.ndarray, actual: np.ndarray) -> Confusion:
        """Count bool [n] against bool [n]."""
        return cls(
            true_positive=int((predicted & actual).sum()),
            n_positive=int(actual.sum()),
            true_negative=int((~predicted & ~actual).sum()),
            n_negative=int((~actual).sum()),
        )

    @property
    def recall(self) -> float:
        """Share of firing cases that are predicted; NaN without any."""
        return _ratio(self.true_positive, self.n_positive)

    @property
    def specificity(self) -> float:
        """Share of silent cases that are predicted to be silent; NaN without any."""
        return _ratio(self.true_negative, self.n_negative)

    @property
    def precision(self) -> float:
        """Share of the cases predicted to fire that do; 0 when none is predicted to."""
        predicted = self.true_positive + self.n_negative - self.true_negative
        return self.true_positive / predicted if predicted else 0.0

    @property
    def balanced_accuracy(self) -> float:
        """Mean of recall and specificity: 0.5 for a constant answer, whatever it is."""
        return (self.recall + self.specificity) / 2

    @property
    def accuracy(self) -> float:
        """The paper's P: share of all cases judged rightly; NaN without any.

        Source: arXiv 2411.06112.
        """
        return _ratio(self.true_positive + self.true_negative, self.n_positive + self.n_negative)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
