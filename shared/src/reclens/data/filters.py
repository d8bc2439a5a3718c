"""Which interactions are kept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def k_core(
    user_index: npt.NDArray[np.int32], item_index: npt.NDArray[np.int32], k: int
) -> npt.NDArray[np.bool_]:
    """Mask [n] of the largest part in which every user and item has at least ``k`` interactions.

    A repeated interaction counts each time.
    """
    kept = np.ones(len(user_index), dtype=bool)
    if k <= 1 or len(kept) == 0:
        return kept
    n_users, n_items = int(user_index.max()) + 1, int(item_index.max()) + 1
    while True:
        per_user = np.bincount(user_index[kept], minlength=n_users)
        per_item = np.bincount(item_index[kept], minlength=n_items)
        still = kept & (per_user[user_index] >= k) & (per_item[item_index] >= k)
        if still.sum() == kept.sum():
            return kept
        kept = still
