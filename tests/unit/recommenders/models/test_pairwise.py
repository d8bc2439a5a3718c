"""Negative samples."""

from __future__ import annotations

import numpy as np

from reclens.recommenders.models.pairwise import NegativeSampler

# User 0 knows 0, 1, 2 of five items; user 1 knows 4; user 2 knows all of them.
USERS = np.array([0, 0, 0, 0, 1, 2, 2, 2, 2, 2])
ITEMS = np.array([0, 1, 2, 2, 4, 0, 1, 2, 3, 4])


def test_samples_are_uniform_over_what_the_user_does_not_know() -> None:
    sampler = NegativeSampler(USERS, ITEMS, 5)
    users = np.repeat([0, 1], 4000)
    drawn = sampler.sample(users, np.random.default_rng(0))
    counts = [np.bincount(drawn[users == user], minlength=5) for user in (0, 1)]
    assert counts[0][:3].sum() == 0
    assert counts[1][4] == 0
    # Five standard deviations of a binomial.
    assert abs(counts[0][3] - 2000) < 5 * np.sqrt(4000 * 0.25)
    assert np.abs(counts[1][:4] - 1000).max() < 5 * np.sqrt(4000 * 0.1875)


def test_the_same_generator_gives_the_same_samples() -> None:
    sampler = NegativeSampler(USERS, ITEMS, 5)
    users = np.repeat([0, 1], 50)
    first, again, other = (sampler.sample(users, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_user_who_knows_everything_has_no_negative() -> None:
    sampler = NegativeSampler(USERS, ITEMS, 5)
    assert sampler.can_sample(np.array([2, 0, 1])).tolist() == [False, True, True]
