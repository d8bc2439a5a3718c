import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from reclens.concepts.evidence.classification_metrics import (
    Confusion,
    auroc,
    wilson_interval,
)
from reclens.errors import InvalidInput


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # By hand with z = 1.96: centre (p + z^2/2n)/(1 + z^2/n), e.g. 8 of 10: .7167 -/+ .2266.
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_interval_has_the_known_values(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_wilson_interval_refuses_impossible_counts():
    with pytest.raises(InvalidInput):
        wilson_interval(3, 2)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=60))
def test_auroc_agrees_with_scikit_learn(cases):
    scores = np.array([score for score, _ in cases], float)
    positive = np.array([fires for _, fires in cases])
    found = auroc(rankdata(scores), positive)
    if positive.all() or not positive.any():
        assert math.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(positive, scores))


def test_confusion_gives_the_hand_worked_rates():
    actual = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], bool)
    predicted = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0], bool)
    counts = Confusion.of(predicted, actual)
    assert counts == Confusion(3, 4, 5, 6)
    assert counts.precision == pytest.approx(3 / 4)
    assert counts.recall == pytest.approx(3 / 4)
    assert counts.specificity == pytest.approx(5 / 6)
    assert counts.balanced_accuracy == pytest.approx(19 / 24)
    assert counts.accuracy == pytest.approx(8 / 10)


@pytest.mark.parametrize("answer", [True, False])
def test_a_constant_answer_is_chance(answer):
    actual = np.arange(10) < 3
    assert Confusion.of(np.full(10, answer), actual).balanced_accuracy == 0.5
