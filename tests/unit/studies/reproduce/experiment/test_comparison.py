"""Differences on users and latents whose right figures are known, and rules at thresholds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from reclens.studies.reproduce.experiment.comparison import (
    Verdict,
    above,
    all_of,
    apart,
    auroc_difference,
    below,
    interpretable,
    interpretable_share,
    paired,
    share_difference,
)
from reclens.studies.reproduce.experiment.results import Dictionary


def test_users_are_paired_by_name_not_by_place(
    main_dictionary: Dictionary, untrained: Dictionary
) -> None:
    rows = untrained.fidelity_rows
    assert rows is not None
    turned = replace(untrained, fidelity_rows=rows.take(list(range(len(rows)))[::-1]))
    found = paired(main_dictionary, turned, "overlap@10", "history")
    assert found is not None
    # 0.9 against 0.4 for every user: no spread at all.
    assert found == pytest.approx((0.5, 0.5, 0.5))


def test_a_variant_of_the_same_dictionary(main_dictionary: Dictionary) -> None:
    found = paired(main_dictionary, main_dictionary, "overlap@10", "history", other_variant="mean")
    assert found == pytest.approx((0.8, 0.8, 0.8))


def test_only_users_of_both_count(main_dictionary: Dictionary, untrained: Dictionary) -> None:
    rows = untrained.fidelity_rows
    assert rows is not None
    nobody = replace(untrained, fidelity_rows=rows.slice(0, 0))
    assert paired(main_dictionary, nobody, "overlap@10", "history") is None
    assert paired(main_dictionary, untrained, "overlap@10", "folded") is None
    one = replace(
        untrained,
        fidelity_rows=rows.filter(pc.equal(rows["user_id"], "u3")),  # type: ignore[attr-defined]
    )
    found = paired(main_dictionary, one, "ndcg@10", "history")
    assert found == pytest.approx((0, 0, 0))


def test_shares_are_of_latents_that_fire(
    main_dictionary: Dictionary, untrained: Dictionary
) -> None:
    # Two of four labels, and one of four, 150 times each, of 1,000 that fire.
    assert interpretable(main_dictionary) == 300
    assert interpretable_share(main_dictionary) == 0.3
    found = share_difference(main_dictionary, untrained)
    half = 1.96 * np.sqrt((0.3 * 0.7 + 0.15 * 0.85) / 1000)
    assert found.mean == pytest.approx(0.15)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.15)


def test_nobody_is_easier_to_name_than_without_labels(
    main_dictionary: Dictionary, untrained: Dictionary
) -> None:
    assert untrained.labels is not None
    bare = replace(untrained, labels=pa.table({"auroc": pa.array([None], pa.float64())}))
    assert np.isnan(auroc_difference(main_dictionary, bare)).all()
    found = auroc_difference(main_dictionary, untrained)
    assert found.mean == pytest.approx(0.2)
    assert 0.19 < found.low <= found.high < 0.21


HOLDS, FAILS, UNDECIDED = Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.3, 0.21, 0.4), HOLDS),
        ((0.3, 0.19, 0.4), UNDECIDED),
        ((0.1, 0.05, 0.21), UNDECIDED),
        ((0.1, 0.05, 0.19), FAILS),
        # Exactly the threshold in every resample: neither above nor below.
        ((0.2, 0.2, 0.2), UNDECIDED),
        ((0.3, None, None), UNDECIDED),
        ((math.nan, math.nan, math.nan), UNDECIDED),
        (None, UNDECIDED),
    ],
)
def test_above(interval, expected: Verdict) -> None:
    assert above(interval, 0.2) is expected


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((-0.3, -0.4, -0.21), HOLDS),
        ((-0.3, -0.4, -0.19), UNDECIDED),
        ((-0.1, -0.15, -0.05), FAILS),
        ((None, None, None), UNDECIDED),
    ],
)
def test_below(interval, expected: Verdict) -> None:
    assert below(interval, -0.2) is expected


def test_the_worst_part_decides() -> None:
    assert all_of(HOLDS, HOLDS) is HOLDS
    assert all_of(HOLDS, UNDECIDED) is UNDECIDED
    assert all_of(UNDECIDED, FAILS, HOLDS) is FAILS


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [((0.5, 0.41, 0.6), HOLDS), ((0.5, 0.4, 0.6), UNDECIDED), ((0.1, 0.0, 0.19), FAILS)],
)
def test_intervals_that_do_not_meet_are_apart(theirs, expected: Verdict) -> None:
    assert apart((0.3, 0.2, 0.4), theirs) is expected
