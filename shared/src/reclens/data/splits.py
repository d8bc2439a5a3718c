"""Division of interactions into train, valid and test."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reclens.contracts import SplitSpec
from reclens.data.dataset import Split
from reclens.errors import InvalidInput

_MIN_INTERACTIONS = 3
"""A user with fewer stays in train whole: one each for train, valid and test."""
_LEAST_OF_TRAIN, _LEAST_OF_TEST = 0.1, 0.01
"""Of the share that a part of ``global-time`` is to have, what it must have at least. The last
days of what grew fast at first may hold little."""
_ROUNDING = 1e-9  # so that 0.29 of 100 is 29, not 28
_DAY_SECONDS = 24 * 60 * 60


def assign_splits(
    user_index: npt.NDArray[np.int32],
    timestamp: npt.NDArray[np.int64],
    spec: SplitSpec,
    fraction: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.uint8]:
    """Codes of ``Split`` [n] for rows that are sorted by user and time (seconds and ``fraction``).

    ``leave-one-out``: the last row of a user is test, the one before valid. ``ratio``: of a user's
    n rows ``max(1, floor(test * n))`` random ones are test, ``max(1, floor(valid * n))`` others
    valid. In both, users with fewer than three rows stay in train. ``global-time``: the two points
    in time before which lie the shares ``1 - valid - test`` and ``1 - test`` of all rows; rows at
    such a point go to the later part. With ``share_of: days`` the points are so many of the days
    (UTC) from the first row's to the last row's; the day of such a point goes to the earlier part.

    Source: the latter is the split of MovieLens-1M in the public code of arXiv 2411.06112.

    Raises:
        InvalidInput: nothing would be left in train; or, of ``global-time``, almost nothing in
            train or in test.
    """
    if spec.kind == "leave-one-out":
        splits = _leave_one_out(user_index)
    elif spec.kind == "ratio":
        splits = _ratio(user_index, spec)
    elif spec.share_of == "days":
        splits = _global_days(timestamp, spec)
    else:
        splits = _global_time(_moments(timestamp, fraction), spec)
    _refuse_almost_nothing(splits, spec)
    return splits


def _refuse_almost_nothing(splits: npt.NDArray[np.uint8], spec: SplitSpec) -> None:
    """A single time that is far from the others puts nearly everything on one side of a cut."""
    train, valid, test = np.bincount(splits, minlength=len(Split)).tolist()
    lacking = "" if train else "train on"
    if spec.kind == "global-time":
        share = 1 - spec.valid - spec.test
        if train < _LEAST_OF_TRAIN * share * len(splits):
            lacking = "train on"
        elif test == 0 or test < _LEAST_OF_TEST * spec.test * len(splits):
            lacking = "test on"
    if lacking:
        raise InvalidInput(
            f"the {spec.kind} split leaves {'almost ' if train and test else ''}nothing to "
            f"{lacking}: of {len(splits):,} interactions {train:,} are train, {valid:,} valid and "
            f"{test:,} test.",
            field="split",
            remedy="choose another kind of split, or other shares of valid and test.",
        )


def _leave_one_out(user_index: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    count, place = _places(user_index)
    from_end = count - 1 - place
    enough = count >= _MIN_INTERACTIONS
    return _codes(valid=enough & (from_end == 1), test=enough & (from_end == 0))


def _ratio(user_index: npt.NDArray[np.int32], spec: SplitSpec) -> npt.NDArray[np.uint8]:
    count, place = _places(user_index)
    lottery = np.random.default_rng(spec.seed).random(len(user_index))
    drawn = np.empty_like(place)  # place of each row after its user's rows are shuffled
    drawn[np.lexsort((lottery, user_index))] = place
    n_test = np.clip(np.floor(spec.test * count + _ROUNDING), 1, np.maximum(count - 2, 1))
    n_valid = np.clip(
        np.floor(spec.valid * count + _ROUNDING), 1, np.maximum(count - 1 - n_test, 1)
    )
    enough = count >= _MIN_INTERACTIONS
    return _codes(valid=enough & (drawn < n_test + n_valid), test=enough & (drawn < n_test))


def _global_time(moment: npt.NDArray[np.int64], spec: SplitSpec) -> npt.NDArray[np.uint8]:
    n = len(moment)
    ordered = np.sort(moment)
    valid_from = ordered[min(int((1 - spec.valid - spec.test) * n + _ROUNDING), n - 1)]
    test_from = ordered[min(int((1 - spec.test) * n + _ROUNDING), n - 1)]
    return _codes(valid=moment >= valid_from, test=moment >= test_from)


def _moments(
    timestamp: npt.NDArray[np.int64], fraction: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.int64]:
    """Whole numbers [n] in the order of the full times, equal where these are."""
    if fraction is None:
        return timestamp
    order = np.lexsort((fraction, timestamp))
    later = (np.diff(timestamp[order]) > 0) | (np.diff(fraction[order]) != 0)
    moment = np.empty_like(timestamp)
    moment[order] = np.concatenate(([0], np.cumsum(later)))
    return moment


def _global_days(timestamp: npt.NDArray[np.int64], spec: SplitSpec) -> npt.NDArray[np.uint8]:
    day = timestamp // _DAY_SECONDS
    day -= day.min()
    last = int(day.max())
    return _codes(
        valid=day > (1 - spec.valid - spec.test) * last + _ROUNDING,
        test=day > (1 - spec.test) * last + _ROUNDING,
    )


def _codes(valid: npt.NDArray[np.bool_], test: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Codes of ``Split``: test where ``test``, else valid where ``valid``, else train."""
    return np.select([test, valid], [Split.TEST, Split.VALID], Split.TRAIN).astype(np.uint8)


def _places(user_index: npt.NDArray[np.int32]) -> tuple[np.ndarray, np.ndarray]:
    """For each row: how many rows its user has, and its place (from 0) among them."""
    per_user = np.bincount(user_index)
    start = np.cumsum(per_user) - per_user
    return per_user[user_index], np.arange(len(user_index)) - start[user_index]
