"""Items as popular as given ones: what a latent's items share because they are popular is no
concept of its own."""

from __future__ import annotations

import numpy as np

N_TENTHS = 10


class PopularityTenths:
    """Items that are on top of any answer, in tenths by their popularity.

    Args:
        top: int [n_cases], the item on top of each answer, -1 for none.
        popularity: int [n_items], train interactions of each item.
    """

    def __init__(self, top: np.ndarray, popularity: np.ndarray) -> None:
        answered = np.unique(top[top >= 0])
        shares = np.arange(1, N_TENTHS) / N_TENTHS
        edges = np.quantile(popularity[answered], shares) if len(answered) else np.empty(0)
        self.of_item = np.searchsorted(edges, popularity, side="right")
        """int64 [n_items]: tenth of each item, 0 the least popular; equals are together."""
        self._pools = [answered[self.of_item[answered] == tenth] for tenth in range(N_TENTHS)]

    def draw(self, items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As many different items, each of the tenth of the one that it stands for, int64 [n].

        Args:
            items: int [n], different ones, each on top of some answer.
            rng: of the draws.
        """
        drawn = np.empty(len(items), np.int64)
        tenths = self.of_item[items]
        for tenth in np.unique(tenths):
            places = np.nonzero(tenths == tenth)[0]
            drawn[places] = rng.choice(self._pools[tenth], size=len(places), replace=False)
        return drawn
