"""Limits of tags: a ranking is walked down, and items over a limit are passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from reclens.errors import NotFound


class TagIndex:
    """Which items carry which tag."""

    def __init__(self, tags: Sequence[Sequence[str]]) -> None:
        self._tags: Sequence[Sequence[str]] = tags

    def check(self, tag: str, field: str) -> None:
        """Refuse a tag that no item has.

        Raises:
            NotFound: names the field.
        """
        if tag not in self._known:
            raise NotFound(
                f"no item has the tag {tag!r}.", field=field, remedy="use a tag as items have it."
            )

    def keep(
        self, items: npt.NDArray[np.int64], limits: Mapping[str, int], count: int
    ) -> npt.NDArray[np.int64]:
        """Places of the first ``count`` of ``items`` that keep all limits, from the first on."""
        left: dict[str, int] = dict(limits)
        places: list[int] = []
        for place, item in enumerate(items.tolist()):
            if len(places) == count:
                break
            limited = left.keys() & set(self._tags[item])
            if any(left[tag] == 0 for tag in limited):
                continue
            for tag in limited:
                left[tag] -= 1
            places.append(place)
        return np.array(places, dtype=np.int64)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(tag for tags in self._tags for tag in tags)
