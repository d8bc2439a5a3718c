"""How alike two rankings of the same items are."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import kendalltau, rankdata


def overlap(first: np.ndarray, second: np.ndarray, k: int) -> float:
    """Share of the best ``k`` by one score that are among the best ``k`` by the other.

    Args:
        first: float [n_items]; of equal scores the lower index is better.
        second: float [n_items].
        k: length of the lists; with fewer items, all of them.
    """
    k = min(k, len(first))
    if k == 0:
        return math.nan
    return len(np.intersect1d(best(first, k), best(second, k))) / k


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the ``k`` highest scores, best first; of equal ones the lower index first."""
    return np.argsort(-scores, kind="stable")[:k]


def kendall(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b of float [n_items] each; NaN where one is constant.

    Source: M. G. Kendall, The treatment of ties in ranking problems, Biometrika 33 (1945).
    """
    return float(np.asarray(kendalltau(first, second))[0])


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rho of float [n_items] each; NaN where one is constant.

    Source: C. Spearman, Am. J. Psychol. 15 (1904): the correlation of average ranks.
    """
    a, b = rankdata(first), rankdata(second)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 else math.nan
