"""Similarities worked out by hand on unit vectors in the plane."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from reclens.concepts.cases import Cases
from reclens.concepts.grouping import LatentLabel
from reclens.evaluation.similarity import (
    StrongestItems,
    mean_pairwise_cosine,
    measure_similarity,
    pair_cosines,
    random_case_cosines,
    strongest_items,
)

# Items 0 and 1 point the same way, 2 is at right angles, 3 opposite to 0.
VECTORS = np.array([[1.0, 0.0], [5.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
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
    found = strongest_items(ACTIVATIONS, TOP, USERS)
    assert found.first.tolist() == [0, 3, 2, -1], "of equal activations the earlier case"
    assert found.second.tolist() == [1, 0, -1, -1]
    # Latent 0: case 1 is of the same user, case 2 is of another with another item.
    assert found.distinct.tolist() == [2, 0, -1, -1]


def test_a_case_without_an_answer_is_no_evidence() -> None:
    found = strongest_items(ACTIVATIONS, np.array([-1, 1, 2, 3, 0]), USERS)
    assert found.first.tolist() == [1, 3, 2, -1]


def test_cosines_ignore_length_and_keep_gaps() -> None:
    cosines = pair_cosines(np.array([0, 3, 2, -1]), np.array([1, 0, -1, -1]), VECTORS)
    assert cosines[:2].tolist() == pytest.approx([1.0, -1.0])
    assert np.isnan(cosines[2:]).all()


def test_random_cases_are_of_other_users_and_other_items() -> None:
    found = strongest_items(ACTIVATIONS, TOP, USERS)
    assert found.case.tolist() == [0, 3, 2, -1]
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
        StrongestItems(*np.array([[0], [1], [-1], [0]])),
        np.array([0, 1]),
        np.array(["a", "a"]),
        VECTORS,
        np.random.default_rng(0),
    )
    assert np.isnan(alone).all()


def test_mean_pairwise_cosine_is_the_mean_over_all_pairs() -> None:
    vectors = np.random.default_rng(0).normal(size=(7, 5))
    items = np.array([0, 3, 3, 6, 1, -1])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    known = items[items >= 0]
    pairs = [unit[a] @ unit[b] for i, a in enumerate(known) for j, b in enumerate(known) if i < j]
    assert mean_pairwise_cosine(items, vectors) == pytest.approx(np.mean(pairs))
    assert math.isnan(mean_pairwise_cosine(np.array([4]), vectors))


def test_only_interpretable_latents_count_where_asked() -> None:
    cases = Cases(USERS, TOP[:, None].astype(np.int32), sparse.csr_matrix(ACTIVATIONS))
    labels = [LatentLabel(j, paper_p=p) for j, p in enumerate([0.9, 0.5, 0.8, None])]
    measured = measure_similarity(
        cases, labels, VECTORS, ["i0", "i1", "i2", "i3"], interpretable=0.8, seed=0
    )
    chosen = measured.metrics["interpretable"]
    assert chosen["latents"] == 2
    assert chosen["intra"] == pytest.approx(1.0), "latent 2 has no second case"
    assert chosen["intra_distinct"] == pytest.approx(0.0)
    # Latent 0 (item 0, user a): cases of others have items 2, 3 and 0, the last is its own; latent
    # 2 (item 2, user b): items 0, 1, 0, all at right angles. Latent 0: cosines 0 and -1.
    assert -0.5 <= chosen["random_case"] <= 0
    assert chosen["above_random"][0] == pytest.approx(
        measured.table["intra_distinct"][0].as_py() - measured.table["random_case"][0].as_py()
    ), "latent 2 has no case of another user"
    assert chosen["inter"] == pytest.approx(0.0), "items 0 and 2 are at right angles"
    assert measured.metrics["firing"]["latents"] == 3
    # Pairs of items 0, 3, 2: -1, 0, 0.
    assert measured.metrics["firing"]["inter"] == pytest.approx(-1 / 3)
    assert measured.table["first_item"].to_pylist() == ["i0", "i3", "i2", None]
    assert measured.table["intra"].to_pylist()[3] is None
