"""Random directions that share nothing with the dictionary but where it lies."""

from __future__ import annotations

import numpy as np
import pytest

from reclens.evaluation.statistics.chance import alike_directions
from reclens.sae.analysis.stability import decoder_stability


def test_mean_and_covariance_are_those_of_the_directions() -> None:
    # Unit vectors (±.6, .8, 0), each as often: mean (0, .8, 0), all variance on the first axis.
    rows = 5.0 * np.tile([[0.6, 0.8, 0.0], [-0.6, 0.8, 0.0]], (20_000, 1))
    drawn = alike_directions(rows, np.random.default_rng(0))
    assert drawn.shape == rows.shape
    assert drawn.mean(axis=0) == pytest.approx([0.0, 0.8, 0.0], abs=0.01)
    assert np.cov(drawn, rowvar=False) == pytest.approx(np.diag([0.36, 0.0, 0.0]), abs=0.01)


def test_crowded_directions_are_closer_by_chance_than_even_ones() -> None:
    rng = np.random.default_rng(1)
    crowded = rng.normal(size=(300, 32)) * np.linspace(1, 0.05, 32)
    alike = decoder_stability(crowded, alike_directions(crowded, rng))
    even = decoder_stability(crowded, rng.normal(size=crowded.shape))
    # Another draw of the same kind says how close such directions are without any relation.
    related = rng.normal(size=crowded.shape) * np.linspace(1, 0.05, 32)
    chance = decoder_stability(crowded, related)
    assert even.mean_max_cosine < alike.mean_max_cosine - 0.1
    assert alike.mean_max_cosine == pytest.approx(chance.mean_max_cosine, abs=0.03)


def test_a_direction_without_length_is_taken_as_it_is() -> None:
    assert np.isfinite(alike_directions(np.zeros((4, 3)), np.random.default_rng(0))).all()
