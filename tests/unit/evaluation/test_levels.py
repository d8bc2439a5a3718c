"""Hit ratios by level on cases whose right counts are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from reclens.contracts.tables.concepts import LatentLabel
from reclens.evaluation import levels
from reclens.evaluation.levels import MIN_FIRING, count_levels, exchanged, measure_levels

N_CASES = 40
MATCHING = np.array([1])


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
    counts = count_levels(activations, top, {0: MATCHING})
    assert counts.cases.tolist() == [[20] + [2] * 10]
    assert counts.hits.tolist() == [[0] + [1] * 5 + [2] * 5]
    assert counts.hit_ratio.tolist() == [[0.0] + [0.5] * 5 + [1.0] * 5]
    assert counts.average == pytest.approx(15 / 40)


def test_a_rare_latent_leaves_levels_empty() -> None:
    values = np.zeros((5, 1))
    values[2, 0] = 1.0
    counts = count_levels(sparse.csc_matrix(values), np.ones(5, int), {0: MATCHING})
    assert counts.cases.tolist() == [[4, 1] + [0] * 9]
    assert np.isnan(counts.hit_ratio).sum() == 9


def test_a_case_without_an_answer_is_no_hit(rising) -> None:
    activations, _ = rising
    counts = count_levels(activations, np.full(N_CASES, -1), {0: np.array([0, 1])})
    assert counts.hits.sum() == 0
    assert counts.cases.sum() == N_CASES


def test_exchange_gives_nobody_its_own() -> None:
    matching = {j: np.array([j]) for j in (2, 5, 7, 8)}
    moved = exchanged(matching, seed=0)
    assert set(moved) == set(matching)
    assert all(moved[j].tolist() != [j] for j in matching)
    assert sorted(int(one[0]) for one in moved.values()) == [2, 5, 7, 8]


def test_silent_latents_and_unjudged_ones_are_told_apart(rising, monkeypatch) -> None:
    monkeypatch.setattr(levels, "MIN_FIRING", 20)
    activations, top = rising
    both = sparse.csc_matrix(sparse.hstack([activations, sparse.csc_matrix((N_CASES, 1))]))
    labels = [LatentLabel(0, paper_p=None), LatentLabel(1, paper_p=1.0)]
    measured = measure_levels(
        both, top, {0: MATCHING, 1: MATCHING}, labels, interpretable=0.8, seed=0
    )
    assert measured.metrics["labelled"]["latents"] == 1
    assert measured.metrics["labelled"]["average"] == pytest.approx(15 / 40)
    assert measured.metrics["labelled"]["hit_ratio"][10] == [1.0, 1.0, 1.0]
    assert measured.metrics["labelled"]["rise"] == [0.5, 0.5, 0.5]
    assert measured.metrics["labelled"]["too_rare"] == 1
    # Ranks 3 (five times) and 8 against 1 to 10: covariance 62.5, variances 62.5 and 82.5.
    assert measured.metrics["labelled"]["rank_correlation"] == pytest.approx([0.8704] * 3, abs=1e-4)
    assert measured.metrics["interpretable"]["latents"] == 0
    assert measured.metrics["interpretable"]["hit_ratio"][10] == [None, None, None]
    assert measured.table.num_rows == 11
    assert measured.table["hits"].to_pylist() == [0] + [1] * 5 + [2] * 5


def _composed(n_rare: int, n_common: int) -> tuple[sparse.csc_matrix, np.ndarray, dict]:
    """Latents whose hit ratio has nothing to do with their activation.

    Item 1 is on top in every other case. Rare latents fire once and stand for item 2, which is
    never on top; common ones fire in 40 cases, in pairs of which one is a hit.
    """
    n_cases = 400
    top = np.arange(n_cases) % 2
    values = np.zeros((n_cases, n_rare + n_common))
    for rare in range(n_rare):
        values[rare, rare] = 1.0
    for common in range(n_rare, n_rare + n_common):
        values[common : common + 40, common] = np.arange(1, 41)
    matching = {j: np.array([2 if j < n_rare else 1]) for j in range(n_rare + n_common)}
    return sparse.csc_matrix(values), top, matching


def test_latents_that_fill_some_levels_only_do_not_make_the_ratio_rise() -> None:
    activations, top, matching = _composed(n_rare=30, n_common=20)
    # All of them together: level 1 averages the rare ones in, level 10 does not.
    ratios = count_levels(activations, top, matching).hit_ratio
    assert np.nanmean(ratios[:, 1]) == pytest.approx(20 / 50 * 0.5)
    assert np.nanmean(ratios[:, 10]) == pytest.approx(0.5)

    labels = [LatentLabel(j, paper_p=0.9) for j in matching]
    measured = measure_levels(activations, top, matching, labels, interpretable=0.8, seed=0)
    found = measured.metrics["interpretable"]
    assert found["latents"] == 20
    assert found["too_rare"] == 30
    assert [row[0] for row in found["hit_ratio"][1:]] == pytest.approx([0.5] * 10)
    assert found["rise"] == pytest.approx([0, 0, 0])
    assert found["rank_correlation"] == [None, None, None], "nothing rises or falls"
    assert measured.table.num_rows == 20 * 11


def test_a_latent_counts_from_so_many_firing_cases() -> None:
    values = np.zeros((100, 2))
    values[:MIN_FIRING, 0] = values[: MIN_FIRING - 1, 1] = 1.0
    labels = [LatentLabel(0), LatentLabel(1)]
    matching = {0: MATCHING, 1: MATCHING}
    measured = measure_levels(
        sparse.csc_matrix(values), np.ones(100, int), matching, labels, interpretable=0.8, seed=0
    )
    assert set(measured.table["latent"].to_pylist()) == {0}
