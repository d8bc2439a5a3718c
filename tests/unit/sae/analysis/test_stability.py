"""Dictionaries compared by hand: permuted, turned round, noised, of different sizes."""

from __future__ import annotations

import numpy as np
import pytest

from reclens.errors import InvalidInput
from reclens.sae.analysis.stability import decoder_stability, recovered_share


def test_the_order_and_the_length_of_rows_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(40, 12))
    b = a[rng.permutation(40)] * rng.uniform(0.1, 10, (40, 1))
    stability = decoder_stability(a, b)
    assert stability.mean_max_cosine == pytest.approx(1)
    assert stability.mean_max_cosine_reverse == pytest.approx(1)
    assert stability.mean_matched_cosine == pytest.approx(1)
    assert stability.matched_share == {0.7: 1, 0.9: 1}


def test_cosines_worked_by_hand() -> None:
    # Row 0 of b is row 0 of a turned by 30 degrees, row 1 is row 1 turned by 60.
    a = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]])
    b = np.array([[np.sqrt(3) / 2, 0, 0.5, 0], [0, 0.5, 0, np.sqrt(3) / 2]])
    stability = decoder_stability(a, b)
    assert stability.mean_max_cosine == pytest.approx((np.sqrt(3) / 2 + 0.5) / 2)
    assert stability.mean_matched_cosine == pytest.approx((np.sqrt(3) / 2 + 0.5) / 2)
    assert stability.matched_share == {0.7: 0.5, 0.9: 0}


def test_a_direction_serves_one_partner_only() -> None:
    a = np.array([[1.0, 0], [1, 0.01]])
    b = np.array([[1.0, 0], [0, 1]])
    stability = decoder_stability(a, b)
    assert stability.mean_max_cosine == pytest.approx(1, abs=1e-4)
    assert stability.mean_max_cosine_reverse == pytest.approx(0.505, abs=1e-3)
    assert stability.matched_share == {0.7: 0.5, 0.9: 0.5}


def test_the_opposite_direction_is_not_a_match() -> None:
    eye = np.eye(3)
    stability = decoder_stability(eye, -eye)
    assert stability.mean_max_cosine == 0
    assert stability.matched_share == {0.7: 0, 0.9: 0}


def test_shares_count_the_larger_dictionary() -> None:
    eye = np.eye(4)
    assert decoder_stability(eye, eye[:1]).matched_share[0.9] == 0.25
    assert decoder_stability(eye[:1], eye).matched_share[0.9] == 0.25
    assert decoder_stability(eye[:1], eye).mean_max_cosine == 1
    assert decoder_stability(eye[:1], eye).mean_max_cosine_reverse == 0.25


def test_noise_lowers_the_cosine_as_it_must() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(200, 400)) / np.sqrt(400)
    b = a[::-1] + rng.normal(size=a.shape) / np.sqrt(400)
    # Signal and noise of one length and at right angles: the angle is 45 degrees.
    assert decoder_stability(a, b).mean_matched_cosine == pytest.approx(np.sqrt(0.5), abs=0.01)


def test_a_row_of_zeros_matches_nothing() -> None:
    a = np.eye(2)
    assert decoder_stability(a, np.array([[1.0, 0], [0, 0]])).matched_share[0.7] == 0.5


def test_recovery_counts_known_directions_only() -> None:
    directions = np.eye(4)[:2]
    decoder = np.array([[0.0, 0, 1, 0], [0, 5, 0, 0], [1, 1, 0, 0]])
    assert recovered_share(directions, decoder) == 0.5
    assert recovered_share(directions, decoder, above=0.7) == 1


@pytest.mark.parametrize(
    ("a", "b", "field"),
    [
        (np.eye(2), np.eye(3), "b"),
        (np.eye(2)[0], np.eye(2), "b"),
        (np.zeros((0, 2)), np.eye(2), "a"),
        (np.eye(2), np.full((1, 2), np.nan), "b"),
    ],
)
def test_what_cannot_be_compared_is_refused(a: np.ndarray, b: np.ndarray, field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        decoder_stability(a, b)
    assert raised.value.field == field
