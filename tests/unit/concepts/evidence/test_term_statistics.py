"""Chance by users: by hand, by simulation, and for latents without a meaning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from labelled_at_once import label_latents
from planted_world import World
from scipy import sparse
from scipy.stats import norm

from reclens.concepts.evidence.cases import Cases
from reclens.concepts.evidence.term_statistics import FALSE_LABELS, UserDraws, significant
from reclens.contracts import ConceptsOptions


def _cases(users: list[str], fires: list[list[float]]) -> Cases:
    top = np.zeros((len(users), 1), np.int32)
    return Cases(np.array(users), top, sparse.csr_matrix(np.array(fires, np.float32)))


def test_draws_are_counted_by_how_evenly_users_share_them():
    # Latent 0: two cases each of two users. Latent 1: three of one and one of another: 1/(9/16 +
    # 1/16). Latent 2 is silent.
    users = ["a", "a", "b", "b", "c", "c", "c", "d"]
    fires = [[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 2, 0], [0, 2, 0], [0, 2, 0], [0, 1, 0]]
    draws = UserDraws(_cases(users, fires))
    assert draws.effective == pytest.approx([2, 1.6, 0])


def test_a_chance_has_the_hand_worked_value():
    # Four users, a case each; ranks of the scores .25 to 1, their mean .625. The latent fires for
    # the two best: mean .875, in units of 1/sqrt(12) over the square root of two draws.
    draws = UserDraws(_cases(["a", "b", "c", "d"], [[0], [0], [1], [1]]))
    scores = sparse.csc_matrix(np.array([[0.1], [0.2], [0.3], [0.4]]))
    (chance,) = draws.chances(scores, np.array([0]), np.array([0]))
    assert chance == pytest.approx(norm.sf(0.25 * np.sqrt(12) * np.sqrt(2)))


def test_pairs_are_tested_in_any_order_and_over_many_blocks():
    rng = np.random.default_rng(0)
    users = [f"u{row % 40}" for row in range(400)]
    draws = UserDraws(_cases(users, (rng.random((400, 3)) < 0.1).astype(float).tolist()))
    scores = sparse.csc_matrix(rng.random((400, 600)))
    latents, columns = rng.integers(3, size=900), rng.integers(600, size=900)
    together = draws.chances(scores, latents, columns)
    for pair in (0, 450, 899):
        alone = draws.chances(scores, latents[[pair]], columns[[pair]])
        assert together[pair] == pytest.approx(alone[0])


@pytest.mark.parametrize("per_user", [1, 10])
def test_under_chance_small_chances_are_as_rare_as_they_say(per_user: int):
    """Blocks of cases of random users, whose scores are alike within a user."""
    rng = np.random.default_rng(1)
    n_users, n_latents = 100, 400
    taste = np.repeat(rng.random(n_users), 20)
    users = [f"u{row // 20}" for row in range(20 * n_users)]
    fires = np.zeros((20 * n_users, n_latents), np.float32)
    for latent in range(n_latents):
        for user in rng.choice(n_users, size=8, replace=False):
            start = 20 * user + int(rng.integers(20 - per_user + 1))
            fires[start : start + per_user, latent] = 1
    cases = Cases(np.array(users), np.zeros((len(users), 1), np.int32), sparse.csr_matrix(fires))
    scores = sparse.csc_matrix((taste + 0.1 * rng.random(len(users)))[:, None])
    chances = UserDraws(cases).chances(scores, np.arange(n_latents), np.zeros(n_latents, int))
    # A binomial of 400 at 5 % is above 32 in one case of a hundred.
    assert (chances <= 0.05).sum() <= 32
    assert 0.4 < np.median(chances) < 0.6


def test_families_are_controlled_apart():
    chances = np.array([0.04, 0.5, 0.04, 0.9, 0.001])
    tested = np.array([True, True, True, True, True])
    # Of two tests .04 is .08 by Benjamini-Hochberg; alone it stands.
    assert significant(chances, np.array([0, 2, 3, 5]), tested).tolist() == [
        False,
        False,
        True,
        False,
        True,
    ]
    alone = np.array([True, False, True, True, True])
    assert significant(chances, np.array([0, 2, 3, 5]), alone)[0]


@pytest.mark.parametrize("n_firing", [3, 5, 10, 20, 50, 150])
def test_latents_without_a_meaning_stay_unlabelled(world: World, n_firing: int):
    rng = np.random.default_rng(n_firing)
    n_latents = 200
    fires = np.zeros((len(world.construct), n_latents), np.float32)
    for latent in range(n_latents):
        fires[rng.choice(len(fires), size=n_firing, replace=False), latent] = 1
    sides = [
        replace(cases, activations=sparse.csr_matrix(rng.permutation(fires)))
        for cases in (world.construct, world.verify)
    ]
    labelling = label_latents(
        *sides, world.items, np.ones(n_latents), options=ConceptsOptions(n_judged=20)
    )
    # Twice what is promised: a binomial of 200 at 5 % is above 17 in one case of a hundred.
    assert labelling.metrics["labelled"] <= 2 * FALSE_LABELS * n_latents
    assert labelling.metrics["trusted"] == 0
