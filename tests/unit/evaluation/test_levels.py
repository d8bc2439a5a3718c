"""Hit ratios by level on cases whose right counts are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from reclens.concepts.grouping import LatentLabel
from reclens.evaluation.levels import count_levels, exchanged, mean_by_level, measure_levels

N_CASES = 40
CARRIES = np.array([False, True])


@pytest.fixture
def rising() -> tuple[sparse.csc_matrix, np.ndarray]:
    """One latent fires in the first 20 cases, ever stronger; of the two cases of a level the
    second has the concept, from level 6 both."""
    values = np.zeros((N_CASES, 1))
    values[:20, 0] = np.arange(1, 21)
    top = np.zeros(N_CASES, np.int64)
    top[1:20:2] = 1
    top[10:20] = 1
    return sparse.csc_matrix(values), top


def test_two_cases_a_level_and_the_rest_silent(rising) -> None:
    activations, top = rising
    counts = count_levels(activations, top, {0: CARRIES})[0]
    assert counts.cases.tolist() == [20] + [2] * 10
    assert counts.hits.tolist() == [0] + [1] * 5 + [2] * 5
    assert counts.hit_ratio.tolist() == [0.0] + [0.5] * 5 + [1.0] * 5
    assert counts.average == pytest.approx(15 / 40)


def test_a_rare_latent_leaves_levels_empty() -> None:
    values = np.zeros((5, 1))
    values[2, 0] = 1.0
    counts = count_levels(sparse.csc_matrix(values), np.ones(5, int), {0: CARRIES})[0]
    assert counts.cases.tolist() == [4, 1] + [0] * 9
    assert np.isnan(counts.hit_ratio).sum() == 9
    assert np.isnan(mean_by_level([counts], seed=0)[10].mean)


def test_a_case_without_an_answer_is_no_hit(rising) -> None:
    activations, _ = rising
    counts = count_levels(activations, np.full(N_CASES, -1), {0: np.array([True, True])})[0]
    assert counts.hits.sum() == 0
    assert counts.cases.sum() == N_CASES


def test_exchange_gives_nobody_its_own() -> None:
    carriers = {j: np.arange(9) == j for j in (2, 5, 7, 8)}
    moved = exchanged(carriers, seed=0)
    assert set(moved) == set(carriers)
    assert all(int(np.argmax(moved[j])) != j for j in carriers)
    assert sorted(int(np.argmax(one)) for one in moved.values()) == [2, 5, 7, 8]


def test_silent_latents_and_unjudged_ones_are_told_apart(rising) -> None:
    activations, top = rising
    both = sparse.csc_matrix(sparse.hstack([activations, sparse.csc_matrix((N_CASES, 1))]))
    labels = [LatentLabel(0, paper_p=None), LatentLabel(1, paper_p=1.0)]
    measured = measure_levels(
        both, top, {0: CARRIES, 1: CARRIES}, labels, interpretable=0.8, seed=0
    )
    assert measured.metrics["labelled"]["latents"] == 1
    assert measured.metrics["labelled"]["average"] == pytest.approx(15 / 40)
    assert measured.metrics["labelled"]["hit_ratio"][10] == [1.0, 1.0, 1.0]
    assert measured.metrics["interpretable"]["latents"] == 0
    assert measured.metrics["interpretable"]["hit_ratio"][10] == [None, None, None]
    assert measured.table.num_rows == 11
    assert measured.table["hits"].to_pylist() == [0] + [1] * 5 + [2] * 5
