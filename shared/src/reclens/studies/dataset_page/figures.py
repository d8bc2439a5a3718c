"""What a data set is measured by: how long histories are, who is popular, when, with which tags."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reclens.data import Dataset, Split, evaluable_users

_TOP = 10
_EXAMPLE_RATE = 0.1
"""Hit rate at which the interval is told."""
_FEW = 5
"""Interactions in train, or items with a tag, below which there are few."""


@dataclass(frozen=True, eq=False)
class DatasetFigures:
    """Everything that the page shows and that its plots are drawn from."""

    lengths: npt.NDArray[np.int64]
    """[n_users] interactions of each user."""
    popularity: npt.NDArray[np.int32]
    """[n_items] interactions in train of each item."""
    times: dict[str, npt.NDArray[np.int64]] | None
    """Seconds of the interactions of each part of the split; None where there are no times."""
    parts: dict[str, tuple[int, int]]
    """Interactions, and users who can be evaluated, by part of the split."""
    density: float
    """Interactions over users times items."""
    top_share: float
    """Share of the interactions in train that the tenth of the most popular items has."""
    popular_hit_rate: float | None
    """HR@10 on test of recommending everybody the ten most popular items, seen ones left out;
    None where nobody can be evaluated."""
    half_width: float | None
    """Half of the 95 % interval of a hit rate of .1 on test, by the number of users."""
    rare_items: int
    """Items with fewer than five interactions in train."""
    titled: int
    """Items with a title."""
    tagged: int
    """Items with tags."""
    tags: Counter[str]
    """Number of items with each tag."""
    rare_tags: int
    """Tags that fewer than five items have."""


def measure(dataset: Dataset, *, timed: bool) -> DatasetFigures:
    """Measure a data set.

    Args:
        dataset: to be measured.
        timed: whether its timestamps are points in time.
    """
    seen, items = dataset.interactions, dataset.items
    popularity = np.sort(items.popularity)[::-1]
    tags = Counter(tag for given in items.tags for tag in given)
    tested = evaluable_users(dataset, Split.TEST)
    return DatasetFigures(
        lengths=np.bincount(seen.user_index, minlength=dataset.n_users),
        popularity=items.popularity,
        times={s.label: seen.timestamp[seen.split == s] for s in Split} if timed else None,
        parts={
            s.label: (seen.count(s), 0 if s is Split.TRAIN else len(evaluable_users(dataset, s)))
            for s in Split
        },
        density=len(seen) / (dataset.n_users * dataset.n_items),
        top_share=float(popularity[: math.ceil(len(popularity) / 10)].sum() / popularity.sum()),
        popular_hit_rate=popular_hit_rate(dataset, tested),
        half_width=(
            1.96 * math.sqrt(_EXAMPLE_RATE * (1 - _EXAMPLE_RATE) / len(tested))
            if len(tested)
            else None
        ),
        rare_items=int(np.count_nonzero(items.popularity < _FEW)),
        titled=sum(map(bool, items.titles)),
        tagged=sum(map(bool, items.tags)),
        tags=tags,
        rare_tags=sum(count < _FEW for count in tags.values()),
    )


def popular_hit_rate(dataset: Dataset, users: npt.NDArray[np.int64]) -> float | None:
    """HR@10 on test, over ``users``, of recommending everybody the ten items that are most popular
    in train, seen ones left out; None of no users."""
    if len(users) == 0:
        return None
    # As in an evaluation: of equally popular items, that with the lower index first.
    ranked = np.argsort(-dataset.items.popularity, kind="stable")
    hits = 0
    for user in users:
        before = set(dataset.history(int(user), (Split.TRAIN, Split.VALID)).tolist())
        wanted = set(dataset.history(int(user), (Split.TEST,)).tolist()) - before
        offered = [item for item in ranked[: _TOP + len(before)].tolist() if item not in before]
        hits += not wanted.isdisjoint(offered[:_TOP])
    return hits / len(users)
