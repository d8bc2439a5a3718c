import math

import numpy as np
import pytest

from reclens.concepts.evidence.latent_evidence import activation_levels
from reclens.concepts.judging.confidence import best_threshold, measure_confidence, sample_cases


def test_levels_are_equal_frequency():
    levels = activation_levels(np.linspace(1, 2, 50)[::-1])
    assert np.bincount(levels)[1:].tolist() == [5] * 10
    assert levels[0] == 10
    assert levels[-1] == 1


def test_positives_come_from_every_level():
    values = np.concatenate([np.linspace(1, 2, 200), np.zeros(800)])
    cases = sample_cases(values, np.zeros(1000), 50, np.random.default_rng(0))
    positives = cases.rows[cases.fires]
    levels = activation_levels(values[:200])[positives]
    assert np.bincount(levels, minlength=11)[1:].tolist() == [5] * 10


def test_negatives_are_silent_and_half_of_them_similar():
    values = np.concatenate([np.ones(40), np.zeros(960)])
    similarity = np.arange(1000.0)
    cases = sample_cases(values, similarity, 40, np.random.default_rng(0))
    negatives = cases.rows[~cases.fires]
    assert len(negatives) == 40 == len(set(negatives.tolist()))
    assert (values[negatives] == 0).all()
    # The most similar tenth of 960 silent cases begins at row 904.
    assert (negatives >= 904).sum() >= 20
    assert (negatives < 904).sum() >= 10


def test_threshold_is_midway_where_it_separates():
    scores = np.array([0.1, 0.2, 0.6, 0.8])
    assert best_threshold(scores, scores > 0.5) == pytest.approx(0.4)


@pytest.mark.parametrize("scores", [np.zeros(4), np.array([1.0, 0.0, 1.0, 0.0])])
def test_threshold_that_cannot_help_answers_silent(scores):
    assert best_threshold(scores, np.array([True, True, False, False])) == math.inf


def test_judge_gives_the_hand_worked_figures():
    values = np.array([3, 2, 1, 1, 1, 0, 0, 0, 0, 0.0])
    scores = np.array([9, 8, 7, 1, 1, 6, 0, 0, 0, 0.0])
    rng = np.random.default_rng(0)
    judged = sample_cases(values, scores, 10, rng)
    found = measure_confidence("keywords", scores, values, 5.0, judged=judged, rng=rng)
    assert found is not None
    assert found.recall == pytest.approx(3 / 5)
    assert found.specificity == pytest.approx(4 / 5)
    # Of 25 pairs the two weak positives lose one each, to the case with score 6.
    assert found.auroc == pytest.approx(23 / 25)


def test_too_few_firing_cases_are_not_judged():
    values = np.array([1, 1, 1, 1, 0, 0.0])
    rng = np.random.default_rng(0)
    judged = sample_cases(values, values, 10, rng)
    assert measure_confidence("keywords", values, values, 0.5, judged=judged, rng=rng) is None
