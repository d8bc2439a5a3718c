"""The cases of both divisions of users, laid out so that any latent's can be asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from reclens.concepts.evidence.cases import Cases, strongest_activation
from reclens.concepts.evidence.strongest import Evidence
from reclens.concepts.judging.confidence import JudgedCases, sample_cases

CONSTRUCT: Literal[0] = 0
VERIFY: Literal[1] = 1
SideIndex = Literal[0, 1]


class HeldOutCases:
    """What judges are asked about. Safe to share between threads.

    Args:
        construct: cases of the users that labels are made from.
        verify: cases of other users.
        evidence: of the ``construct`` cases.
        scale: float [n_latents], unit of each latent's activation.
        seed: of all draws.
    """

    def __init__(
        self, construct: Cases, verify: Cases, *, evidence: Evidence, scale: np.ndarray, seed: int
    ) -> None:
        self._evidence = evidence
        self._scale = np.where(scale > 0, scale, 1.0)
        self._seed = seed
        n_items = len(evidence.background)
        self._sides = tuple(_Side.of(cases, n_items) for cases in (construct, verify))

    def values(self, side: SideIndex, latents: Sequence[int]) -> np.ndarray:
        """The strongest activation of any of the latents, float64 [n_cases], in their units."""
        return self._sides[side].values(latents, self._scale)

    def scores(self, side: SideIndex, item_scores: np.ndarray) -> np.ndarray:
        """What each case's answer scores, float64 [n_cases], from what each item does."""
        return self._sides[side].scores(item_scores)

    def sample(
        self, side: SideIndex, latents: Sequence[int], n_judged: int, stream: Sequence[int]
    ) -> JudgedCases:
        """Firing and silent cases to ask about, see `sample_cases`; the same for one stream."""
        profile = np.asarray(self._evidence.item_shares[list(latents)].sum(axis=0)).ravel()
        return sample_cases(
            self.values(side, latents),
            self._sides[side].answers @ profile,
            n_judged,
            self.rng([*stream, side]),
        )

    def top_items(self, side: SideIndex, rows: np.ndarray, n: int) -> np.ndarray:
        """The first ``n`` items of the answers, int32 [len(rows), n]; -1 pads."""
        return self._sides[side].top_items[rows, :n]

    def rng(self, stream: Sequence[int]) -> np.random.Generator:
        """Random numbers of one purpose."""
        return np.random.default_rng([self._seed, *stream])


@dataclass(frozen=True, eq=False)
class _Side:
    """One division of users, laid out for quick access by latent."""

    top_items: np.ndarray
    answers: sparse.csr_matrix
    by_latent: sparse.csc_matrix

    @classmethod
    def of(cls, cases: Cases, n_items: int) -> _Side:
        return cls(
            cases.top_items, cases.item_weights(n_items), sparse.csc_matrix(cases.activations)
        )

    def values(self, latents: Sequence[int], scale: np.ndarray) -> np.ndarray:
        return strongest_activation(self.by_latent, latents, scale)

    def scores(self, item_scores: np.ndarray) -> np.ndarray:
        # Rounding makes equal sums equal: their order within a row must not decide a tie.
        return np.round(np.asarray(self.answers @ item_scores), 9)
