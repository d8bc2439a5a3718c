"""Which latents are shown, and what of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from reclens.contracts.tables.concepts import LatentLabel
from reclens.evaluation.levels import MIN_POSITIVE, choose_examples, measure_examples


def label(latent: int, text: str, confidence: float, *, n: int = MIN_POSITIVE) -> LatentLabel:
    return LatentLabel(
        latent, label=text, confidence=confidence, n_positive=n, trusted=confidence >= 0.7
    )


def test_best_first_each_label_once() -> None:
    rows = [
        label(0, "Crime", 0.8),
        label(1, "War", 0.9),
        label(2, "War", 0.95),
        label(3, "Horror", 0.99, n=MIN_POSITIVE - 1),
        label(4, "Drama", 0.6),
        label(5, "Action", 0.8),
        LatentLabel(6),
    ]
    assert [row.latent for row in choose_examples(rows, 2)] == [2, 0]
    assert [row.latent for row in choose_examples(rows, 9)] == [2, 0, 5]


def test_shares_with_and_without() -> None:
    activations = sparse.csc_matrix(np.array([[0.5], [2.0], [0.0], [1.0], [0.0]]))
    top = np.array([1, 1, 1, 0, -1])
    matching = {0: np.array([1])}
    measured = measure_examples(activations, top, matching, [label(0, "War", 0.9)], n=3)
    (one,) = measured.metrics["examples"]
    assert one["cases"] == 5
    assert one["cases_with"] == 3
    assert one["fires_with"] == pytest.approx(2 / 3)
    assert one["fires_without"] == pytest.approx(1 / 2)
    assert measured.table["activation"].to_pylist() == [0.5, 2.0, 0.0, 1.0, 0.0]
    assert measured.table["with_concept"].to_pylist() == [True, True, True, False, False]


def test_nothing_to_show_is_an_empty_table() -> None:
    measured = measure_examples(sparse.csc_matrix((3, 1)), np.zeros(3, int), {}, [], n=3)
    assert measured.metrics == {"examples": []}
    assert measured.table.num_rows == 0
