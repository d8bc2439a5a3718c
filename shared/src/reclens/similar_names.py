"""Names that are like one that there is not: "did you mean ...?", in bounded time."""

from __future__ import annotations

import difflib
from bisect import bisect
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final

MAX_LENGTH: Final = 100
"""Characters of a name that are looked at."""
_NEIGHBOURS: Final = 32
_FOUND, _LEAST_ALIKE = 3, 0.5

suggesting: ContextVar[bool] = ContextVar("reclens_suggesting", default=True)
"""Whether `SimilarNames.of` looks at all. Who answers many requests at once lets it once."""


class SimilarNames:
    """Known names, to find those in that are spelt like another one.

    To compare one name with all takes half a second at 100,000. So only those that begin like it or
    end like it are compared: its neighbours in the order of the alphabet, from the left and from
    the right. Upper and lower case are alike.

    Args:
        names: that there are.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._spelt = {name[:MAX_LENGTH].casefold(): name for name in names}
        self._forwards = sorted(self._spelt)
        self._backwards = sorted(name[::-1] for name in self._spelt)

    def of(self, name: str) -> list[str]:
        """Up to three names that are like ``name``, most alike first."""
        if not suggesting.get():
            return []
        asked = name[:MAX_LENGTH].casefold()
        near = set(_around(self._forwards, asked))
        near.update(one[::-1] for one in _around(self._backwards, asked[::-1]))
        # In an order of its own, as that of a set differs from process to process.
        found = difflib.get_close_matches(asked, sorted(near), n=_FOUND, cutoff=_LEAST_ALIKE)
        return [self._spelt[one] for one in found]


def _around(names: list[str], name: str) -> list[str]:
    place = bisect(names, name)
    return names[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS]
