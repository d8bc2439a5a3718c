"""Splits worked by hand, and what holds for every split."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reclens.contracts import SplitSpec
from reclens.data.dataset import Split
from reclens.data.splits import assign_splits
from reclens.errors import InvalidInput, InvalidSpec

_LETTER = {Split.TRAIN: ".", Split.VALID: "v", Split.TEST: "t"}


def _split(users: list[int], spec: SplitSpec, times: list[int] | None = None) -> str:
    timestamp = np.array(times if times is not None else range(len(users)), dtype=np.int64)
    codes = assign_splits(np.array(users, dtype=np.int32), timestamp, spec)
    assert codes.dtype == np.uint8
    return "".join(_LETTER[Split(code)] for code in codes)


def test_leave_one_out_takes_the_last_two_of_each_user():
    users = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]
    assert _split(users, SplitSpec()) == "..vt.vt..."


def test_ratio_takes_floors_of_shares():
    # 10 rows: floor(.29 * 10) = 2 test, floor(.4 * 10) = 4 valid; 3 rows: one each; 2 rows: none.
    users = [0] * 10 + [1] * 3 + [2] * 2
    letters = _split(users, SplitSpec(kind="ratio", valid=0.4, test=0.29))
    assert Counter(letters[:10]) == {".": 4, "v": 4, "t": 2}
    assert Counter(letters[10:13]) == {".": 1, "v": 1, "t": 1}
    assert letters[13:] == ".."


def test_ratio_of_a_hundred_is_not_spoilt_by_rounding():
    letters = _split([0] * 100, SplitSpec(kind="ratio", valid=0.57, test=0.29))
    assert Counter(letters) == {".": 14, "v": 57, "t": 29}  # 0.29 * 100 < 29 in floats


def test_ratio_depends_on_the_seed_alone():
    users = [0] * 30 + [1] * 30
    one, again, other = (
        _split(users, SplitSpec(kind="ratio", seed=seed), times)
        for seed, times in ((1, None), (1, [7] * 60), (2, None))
    )
    assert one == again != other
    assert one[:30] != one[30:]


def test_ratio_is_random_in_time():
    # 300 users with ten rows each: each place is test about 30 times.
    letters = _split([u for u in range(300) for _ in range(10)], SplitSpec(kind="ratio"))
    places = np.array(list(letters)).reshape(300, 10)
    per_place = (places == "t").sum(axis=0)
    assert per_place.sum() == 300
    assert per_place.min() >= 12
    assert per_place.max() <= 51  # four standard deviations of a binomial


def test_global_time_cuts_at_two_points():
    # Ten rows in time; 60 % lie before time 6, 80 % before time 8.
    users = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    times = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]
    spec = SplitSpec(kind="global-time", valid=0.2, test=0.2)
    assert _split(users, spec, times) == "...vt...vt"


def test_global_time_keeps_equal_times_together():
    spec = SplitSpec(kind="global-time", valid=0.25, test=0.25)
    assert _split([0, 0, 0, 0], spec, [1, 2, 2, 3]) == ".vvt"


def test_days_are_divided_whatever_happens_on_them():
    # Days 0 to 100 in the middle of 1970: train to day 80, valid to day 90.
    day = 86_400
    times = [200 * day + place * day for place in (0, 1, 80, 81, 90, 91, 100)]
    times[2] += day - 1  # the last second of day 80
    spec = SplitSpec(kind="global-time", share_of="days")
    assert _split([0] * 7, spec, times) == "...vvtt"


def test_a_day_begins_at_midnight():
    # The first row lies at noon; half a day later is the next day.
    spec = SplitSpec(kind="global-time", share_of="days", valid=0.3, test=0.3)
    assert _split([0, 0, 0], spec, [43_200, 86_399, 86_400]) == "..t"


def test_days_are_for_global_time_alone():
    with pytest.raises(InvalidSpec, match="share_of: days is for global-time"):
        SplitSpec.parse({"kind": "ratio", "share_of": "days"})


def test_a_split_that_leaves_no_train_is_refused():
    spec = SplitSpec(kind="global-time")
    with pytest.raises(InvalidInput, match=r"split: the global-time split leaves nothing"):
        _split([0, 0, 1], spec, [5, 5, 5])


def test_shares_that_leave_no_train_are_refused():
    with pytest.raises(InvalidSpec, match="leave nothing to train on"):
        SplitSpec.parse({"kind": "ratio", "valid": 0.5, "test": 0.5})


_USERS = st.lists(st.integers(1, 12), min_size=1, max_size=8).map(
    lambda counts: [user for user, n in enumerate(counts) for _ in range(n)]
)


@given(_USERS, st.sampled_from(["leave-one-out", "ratio"]), st.floats(0.01, 0.98), st.data())
def test_each_user_keeps_train_and_gets_valid_and_test(users, kind, test, data):
    valid = data.draw(st.floats(0.001, 0.99 - test + 0.005))
    letters = _split(users, SplitSpec(kind=kind, valid=valid, test=test, seed=3))
    for user in set(users):
        mine = Counter(s for s, u in zip(letters, users, strict=True) if u == user)
        assert mine["."] >= 1
        enough = users.count(user) >= 3
        assert (mine["v"] >= 1) == (mine["t"] >= 1) == enough


@given(st.lists(st.integers(0, 20), min_size=2, max_size=40))
def test_global_time_never_learns_from_the_future(times: list[int]):
    times = [-1, *sorted(times)]  # one early row, so that train is not empty
    letters = _split([0] * len(times), SplitSpec(kind="global-time", valid=0.3, test=0.3), times)
    by_part = {
        part: [t for t, s in zip(times, letters, strict=True) if s == part] for part in ".vt"
    }
    assert max(by_part["."]) < min(by_part["v"] + by_part["t"])
    assert max(by_part["v"], default=-1) < min(by_part["t"])
