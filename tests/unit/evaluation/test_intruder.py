"""The intruder test on items in the plane, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from reclens.evaluation.monosemanticity import CHANCE, draw_intruders, intruder_accuracy
from reclens.evaluation.similarity import DistinctCases, ItemVectors, distinct_cases
from reclens.evaluation.statistics import PopularityDeciles

# Items 0 to 5 point right, 6 up, 7 left, 8 has no vector.
PLANE = ItemVectors(np.array([[1.0, 0.0]] * 6 + [[0.0, 1.0], [-1.0, 0.0], [0.0, 0.0]]))


def accuracy(members: list[int], *intruders: int) -> float:
    return float(intruder_accuracy(np.array([members]), np.array([intruders]), PLANE)[0])


def test_a_stranger_is_told() -> None:
    assert accuracy([0, 1, 2, 3, 4], 6) == 1
    assert accuracy([0, 1, 2, 3, 4], 7, 6) == 1


def test_a_member_stranger_than_the_intruder_is_taken_for_it() -> None:
    # Item 7 is opposite to all others, the intruder is not.
    assert accuracy([0, 1, 2, 3, 7], 5) == 0
    assert accuracy([0, 1, 2, 3, 7], 5, 6) == 0, "6 is at right angles to all, 7 opposite to four"


def test_of_equals_one_is_guessed() -> None:
    assert accuracy([0, 1, 2, 3, 4], 5) == pytest.approx(CHANCE)
    # Items 6 as a member and 6 as the intruder: cosine 0 to four, 1 to each other.
    assert accuracy([0, 1, 2, 3, 6], 6) == pytest.approx(1 / 2)


def test_draws_are_averaged_and_those_without_a_vector_left_out() -> None:
    assert accuracy([0, 1, 2, 3, 4], 6, 5) == pytest.approx((1 + CHANCE) / 2)
    assert accuracy([0, 1, 2, 3, 4], 6, 8, -1) == 1
    assert np.isnan(accuracy([0, 1, 2, 3, 4], 8, -1))
    assert np.isnan(accuracy([0, 1, 2, 3, 8], 6))
    assert np.isnan(accuracy([0, 1, 2, 3, -1], 6))


def test_guessing_reaches_one_in_six() -> None:
    rng = np.random.default_rng(0)
    vectors = ItemVectors(rng.normal(size=(600, 8)))
    sets = np.array([rng.permutation(600)[:6] for _ in range(4000)])
    found = intruder_accuracy(sets[:, :5], sets[:, 5:], vectors)
    assert found.mean() == pytest.approx(CHANCE, abs=0.02)


def test_intruders_are_silent_cases_of_others_with_other_items() -> None:
    # Twenty users with one case each, on top item j of user j; latent 0 fires for 0 to 6, latent 1
    # for 0 to 3, which are too few.
    n = 20
    activations = np.zeros((n + 2, 2))
    activations[:7, 0] = np.arange(7, 0, -1)
    activations[:4, 1] = 1
    top = np.array([*range(n), 2, 15])  # case 20: silent, but with a member's item
    user = np.array([*(f"u{j}" for j in range(n)), "u19", "u0"])  # case 21: a member's user
    sparse_activations = sparse.csc_matrix(activations)
    members = distinct_cases(sparse_activations, top, n=5, user=user)
    assert members.items.tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 3, -1]]
    # Items 0 to 9 are rare, 10 to 19 popular.
    deciles = PopularityDeciles(top, np.repeat([1, 100], 10))
    rng = np.random.default_rng(0)
    drawn = [
        draw_intruders(members, sparse_activations, top, user, deciles=deciles, rng=rng)
        for _ in range(50)
    ]
    # [draws, random or hard, latent, intruders]
    random, hard = np.array(drawn).transpose(1, 2, 0, 3)[:, 0]
    assert set(random.ravel().tolist()) == set(range(7, 20))
    assert set(hard.ravel().tolist()) == {7, 8, 9}, "as rare as the members"
    assert (np.array(drawn)[:, :, 1] == -1).all()


def test_a_latent_that_always_fires_has_no_intruder() -> None:
    activations = sparse.csc_matrix(np.ones((6, 1)))
    top, user = np.arange(6), np.arange(6).astype(str)
    members = distinct_cases(activations, top, n=5, user=user)
    deciles = PopularityDeciles(top, np.ones(6, int))
    rng = np.random.default_rng(0)
    drawn = draw_intruders(members, activations, top, user, deciles=deciles, rng=rng)
    assert isinstance(members, DistinctCases)
    assert (drawn[0] == -1).all()
    assert (drawn[1] == -1).all()
