"""Weighted similarity of a latent's strongest items, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from reclens.evaluation.similarity import (
    ItemVectors,
    coherence,
    distinct_cases,
    weighted_pairwise,
)
from reclens.evaluation.statistics import PopularityDeciles

# Items 0 and 1 point the same way, 2 is at right angles, 3 opposite to 0, 4 says nothing.
PLANE = ItemVectors(np.array([[1.0, 0.0], [5.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, 0.0]]))


def weighted(items: list[int], values: list[float], owner: str) -> float:
    return weighted_pairwise(np.array(items), np.array(values), np.array(list(owner)), PLANE)


def test_pairs_count_by_the_product_of_their_activations() -> None:
    # Pairs (0, 1): cosine 1, weight 2; (0, 3): -1, weight 6; (1, 3): -1, weight 3.
    assert weighted([0, 1, 3], [2.0, 1.0, 3.0], "abc") == pytest.approx((2 - 6 - 3) / 11)
    assert weighted([0, 1, 3], [20.0, 10.0, 30.0], "abc") == pytest.approx(-7 / 11)


def test_pairs_of_one_user_are_left_out() -> None:
    assert weighted([0, 1, 3], [2.0, 1.0, 3.0], "aab") == pytest.approx(-1)
    assert math.isnan(weighted([0, 1], [2.0, 1.0], "aa"))


def test_items_without_a_vector_are_left_out() -> None:
    assert weighted([0, 4, 2], [1.0, 9.0, 1.0], "abc") == 0
    assert math.isnan(weighted([0, 4], [1.0, 1.0], "ab"))


def test_control_has_items_as_popular_from_anywhere() -> None:
    # Forty items of one popularity in two directions, each on top of one user's case. Latent 0
    # fires for twenty of one direction, latent 1 for ten of each, latent 2 never.
    n = 40
    vectors = ItemVectors(np.repeat([[1.0, 0.0], [0.0, 1.0]], n // 2, axis=0))
    activations = np.zeros((n, 3))
    activations[:20, 0] = 1
    activations[10:30, 1] = 1
    top, user = np.arange(n), np.arange(n).astype(str)
    deciles = PopularityDeciles(top, np.ones(n, int))
    found = distinct_cases(sparse.csc_matrix(activations), top, n=30)
    own, random = coherence(found, user, vectors, deciles, np.random.default_rng(0))
    assert own[0] == pytest.approx(1)
    # Ten of each: 90 of 190 pairs are of one direction.
    assert own[1] == pytest.approx(90 / 190)
    # Two of forty drawn at random are of one direction with 19 / 39.
    assert random[:2] == pytest.approx([19 / 39, 19 / 39], abs=0.05)
    assert np.isnan([own[2], random[2]]).all()
