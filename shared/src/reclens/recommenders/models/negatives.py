"""Uniform sampling of items that a user has not interacted with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class NegativeSampler:
    """Draws items outside of each user's known positives, for whole arrays of users at once."""

    def __init__(
        self, user_index: npt.NDArray[np.integer], item_index: npt.NDArray[np.integer], n_items: int
    ) -> None:
        self._n_items = n_items
        # One sorted number per known pair: membership of many pairs is one binary search.
        self._known = np.unique(self._keys(user_index, item_index))
        users, counts = np.unique(self._known // n_items, return_counts=True)
        self._saturated = users[counts == n_items]

    def can_sample(self, user_index: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """False for users who know every item, and therefore have no negative."""
        return ~np.isin(user_index, self._saturated)

    def sample(
        self, user_index: npt.NDArray[np.integer], rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """One item per entry of ``user_index``, uniform over those the user does not know.

        Every user must pass ``can_sample``.
        """
        items = rng.integers(self._n_items, size=len(user_index))
        pending = np.arange(len(user_index))
        while len(pending := pending[self._is_known(user_index[pending], items[pending])]):
            items[pending] = rng.integers(self._n_items, size=len(pending))
        return items

    def _keys(
        self, user_index: npt.NDArray[np.integer], item_index: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.int64]:
        return user_index.astype(np.int64) * self._n_items + item_index

    def _is_known(
        self, user_index: npt.NDArray[np.integer], item_index: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.bool_]:
        keys = self._keys(user_index, item_index)
        places = np.searchsorted(self._known, keys)
        return self._known[np.minimum(places, len(self._known) - 1)] == keys
