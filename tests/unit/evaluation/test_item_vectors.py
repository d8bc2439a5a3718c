"""Vectors of items: by hand in the plane, and text on a shelf of four."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from reclens.data.dataset import Items
from reclens.evaluation.similarity import ItemVectors, text_vectors


def shelf(titles: list[str], tags: list[list[str]]) -> Items:
    n = len(titles)
    return Items([f"i{j}" for j in range(n)], titles, tags, [None] * n, np.zeros(n, np.int32))


# Items 0 and 1 point the same way, 2 is at right angles, 3 opposite to 0, 4 says nothing.
PLANE = ItemVectors(np.array([[1.0, 0.0], [5.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, 0.0]]))


def test_cosines_ignore_length_and_keep_gaps() -> None:
    cosines = PLANE.cosines(np.array([0, 3, 2, -1, 4]), np.array([1, 0, -1, -1, 0]))
    assert cosines[:2].tolist() == pytest.approx([1.0, -1.0])
    assert np.isnan(cosines[2:]).all()


def test_mean_pairwise_is_the_mean_over_all_pairs_of_known_items() -> None:
    vectors = np.random.default_rng(0).normal(size=(7, 5))
    vectors[2] = 0
    items = np.array([0, 3, 3, 6, 2, 1, -1])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    known = [item for item in items if item not in {2, -1}]
    pairs = [unit[a] @ unit[b] for i, a in enumerate(known) for j, b in enumerate(known) if i < j]
    assert ItemVectors(vectors).mean_pairwise(items) == pytest.approx(np.mean(pairs))
    assert math.isnan(ItemVectors(vectors).mean_pairwise(np.array([2, 4])))


def test_dense_and_sparse_vectors_are_the_same() -> None:
    vectors = np.random.default_rng(1).normal(size=(4, 3)).clip(0)
    items = np.arange(4)
    assert ItemVectors(sparse.csr_array(vectors)).all_cosines(items) == pytest.approx(
        ItemVectors(vectors).all_cosines(items)
    )


def test_text_is_title_words_and_whole_tags() -> None:
    vectors = text_vectors(
        shelf(
            ["The Film", "Film Night", "Day and Night", "Alone"],
            [["Noir"], ["Noir"], ["Film"], ["Comedy"]],
        )
    )
    assert vectors is not None
    cosines = vectors.all_cosines(np.arange(4))
    # Three terms are in two items each and weigh the same: film (title), night, the tag Noir.
    # Item 0 has film and Noir, item 1 all three, item 2 night alone; the tag Film is another term.
    assert cosines[0, 1] == pytest.approx(2 / math.sqrt(6))
    assert cosines[1, 2] == pytest.approx(1 / math.sqrt(3))
    assert cosines[0, 2] == 0
    assert not vectors.known(np.array([3]))[0], "it shares no term with any other"


@pytest.mark.parametrize(
    ("titles", "tags"),
    [(["", ""], [[], []]), (["one", "two"], [["a"], ["b"]]), (["one one", ""], [["a"], []])],
)
def test_without_shared_text_there_is_nothing_to_compare(
    titles: list[str], tags: list[list[str]]
) -> None:
    assert text_vectors(shelf(titles, tags)) is None
