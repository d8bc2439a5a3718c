"""Similarities worked out by hand on unit vectors in the plane."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from reclens.evaluation.similarity import (
    DistinctCases,
    ItemVectors,
    distinct_cases,
    random_case_cosines,
    second_items,
)

# Items 0 and 1 point the same way, 2 is at right angles, 3 opposite to 0.
VECTORS = ItemVectors(np.array([[1.0, 0.0], [5.0, 0.0], [0.0, 2.0], [-3.0, 0.0]]))
TOP = np.array([0, 1, 2, 3, 0])
USERS = np.array(["a", "a", "b", "b", "c"])
ACTIVATIONS = sparse.csc_matrix(
    # latent 0: cases 0 (strongest), 1, 2; latent 1: cases 3, 4; latent 2: case 2 alone; 3: never.
    np.array(
        [
            [9.0, 0.0, 0.0, 0.0],
            [8.0, 0.0, 0.0, 0.0],
            [1.0, 0.0, 4.0, 0.0],
            [0.0, 6.0, 0.0, 0.0],
            [0.0, 6.0, 0.0, 0.0],
        ]
    )
)


def test_strongest_items_of_each_latent() -> None:
    found = distinct_cases(ACTIVATIONS, TOP, n=2, user=USERS)
    first, distinct = found.items.T
    assert first.tolist() == [0, 3, 2, -1], "of equal activations the earlier case"
    assert second_items(ACTIVATIONS, TOP).tolist() == [1, 0, -1, -1]
    # Latent 0: case 1 is of the same user, case 2 is of another with another item.
    assert distinct.tolist() == [2, 0, -1, -1]


def test_a_case_without_an_answer_is_no_evidence() -> None:
    found = distinct_cases(ACTIVATIONS, np.array([-1, 1, 2, 3, 0]), n=2, user=USERS)
    assert found.items[:, 0].tolist() == [1, 3, 2, -1]


def test_random_cases_are_of_other_users_and_other_items() -> None:
    found = distinct_cases(ACTIVATIONS, TOP, n=2, user=USERS)
    assert found.cases[:, 0].tolist() == [0, 3, 2, -1]
    rng = np.random.default_rng(0)
    many = [random_case_cosines(found, TOP, USERS, VECTORS, rng) for _ in range(200)]
    mean = np.mean(many, axis=0)
    # Latent 0: item 2 (cosine 0) and item 3 (-1) of user b, equally likely.
    assert mean[0] == pytest.approx(-0.5, abs=0.03)
    # Latent 1 (item 3, user b): items 0, 1 of user a and 0 of user c, all opposite.
    assert mean[1] == pytest.approx(-1.0)
    assert mean[2] == pytest.approx(0.0)
    assert np.isnan(many[0][3])


def test_a_control_without_any_other_case_is_not_measured() -> None:
    alone = random_case_cosines(
        DistinctCases(np.array([[0, -1]]), np.array([[0, -1]]), np.array([[1.0, 0.0]])),
        np.array([0, 1]),
        np.array(["a", "a"]),
        VECTORS,
        np.random.default_rng(0),
    )
    assert np.isnan(alone).all()
