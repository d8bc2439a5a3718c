"""The keyword matcher as a judge: what it achieves with a label on the cases it is asked about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from reclens.concepts.cases import Cases
from reclens.concepts.confidence import Confidence, best_threshold, judge, sample_cases
from reclens.concepts.evidence import Evidence
from reclens.concepts.keywords import KeywordLabel, label_vector
from reclens.concepts.terms import Vocabulary
from reclens.contracts import ConceptsOptions

# Streams of random numbers, one per purpose and latent or concept.
_JUDGED, _PAPER, _CONCEPT, _SHUFFLE = range(4)


class JudgedLabel(NamedTuple):
    """A label with the threshold that was fixed for it."""

    label: KeywordLabel
    """What the matcher knows."""
    threshold: float
    """Score from which it says that the latent fires."""


class KeywordJudge:
    """The keyword matcher and the cases that it is asked about. Safe to share between threads.

    Args:
        construct: cases of the users that labels are made from.
        verify: cases of other users.
        evidence: of the ``construct`` cases.
        vocabulary: terms of the data set.
        inverse_frequency: float64 [n_terms], see `TermStatistics`.
        scale: float [n_latents], unit of each latent's activation.
        options: how many cases are judged, and the seed.
    """

    def __init__(
        self,
        construct: Cases,
        verify: Cases,
        *,
        evidence: Evidence,
        vocabulary: Vocabulary,
        inverse_frequency: np.ndarray,
        scale: np.ndarray,
        options: ConceptsOptions,
    ) -> None:
        self._evidence = evidence
        self._vocabulary = vocabulary
        self._inverse = inverse_frequency
        self._options = options
        self._scale = np.where(scale > 0, scale, 1.0)
        n_items = len(evidence.background)
        self._sides = [_Side.of(cases, n_items) for cases in (construct, verify)]

    def of_latent(self, latent: int, label: KeywordLabel) -> Confidence | None:
        """What the label is worth for one latent; None where it cannot be measured."""
        return self._judge([latent], label, [_JUDGED, latent])

    def of_concept(self, latents: Sequence[int], label: KeywordLabel) -> Confidence | None:
        """What it is worth for a concept, which fires where any of its latents does."""
        return self._judge(latents, label, [_CONCEPT, *latents])

    def shuffled(self, judged: Mapping[int, JudgedLabel]) -> list[Confidence]:
        """What the judge achieves on each judged latent's own cases with another one's label.

        Labels and their thresholds move on by one place in a random order, so that no latent
        keeps its own. The cases are the very ones that its own label was judged on.

        Args:
            judged: by latent, in rising order.
        """
        order = self._rng([_SHUFFLE]).permutation(list(judged))
        results = []
        for latent, other in zip(order.tolist(), np.roll(order, 1).tolist(), strict=True):
            if latent == other:
                continue
            label, threshold = judged[other]
            side = self._sides[1]
            values = side.values([latent], self._scale)
            scores = side.scores(self._vector(label))
            cases = sample_cases(
                values,
                self._similarity(side, [latent]),
                self._options.n_judged,
                self._rng([_JUDGED, latent, 1]),
            )
            stream = [_PAPER, _JUDGED, latent]
            found_with_it = judge(scores, values, threshold, cases, self._rng(stream))
            if found_with_it is not None:
                results.append(found_with_it)
        return results

    def _judge(
        self, latents: Sequence[int], label: KeywordLabel, stream: list[int]
    ) -> Confidence | None:
        vector = self._vector(label)
        threshold = math.inf
        for index, side in enumerate(self._sides):
            values = side.values(latents, self._scale)
            scores = side.scores(vector)
            cases = sample_cases(
                values,
                self._similarity(side, latents),
                self._options.n_judged,
                self._rng([*stream, index]),
            )
            if index == 0:
                threshold = best_threshold(scores[cases.rows], cases.fires)
            else:
                return judge(scores, values, threshold, cases, self._rng([_PAPER, *stream]))
        return None

    def _vector(self, label: KeywordLabel) -> np.ndarray:
        return label_vector(label, self._vocabulary, self._inverse)

    def _similarity(self, side: _Side, latents: Sequence[int]) -> np.ndarray:
        profile = np.asarray(self._evidence.item_shares[list(latents)].sum(axis=0)).ravel()
        return side.answers @ profile

    def _rng(self, stream: list[int]) -> np.random.Generator:
        return np.random.default_rng([self._options.seed, *stream])


@dataclass(frozen=True, eq=False)
class _Side:
    """One division of users, laid out for quick access by latent."""

    answers: sparse.csr_matrix
    by_latent: sparse.csc_matrix

    @classmethod
    def of(cls, cases: Cases, n_items: int) -> _Side:
        return cls(cases.item_weights(n_items), sparse.csc_matrix(cases.activations))

    def values(self, latents: Sequence[int], scale: np.ndarray) -> np.ndarray:
        """The strongest activation of any of the latents, float64 [n_cases]."""
        strongest = np.zeros(len(self.answers.indptr) - 1)
        for latent in latents:
            inside = slice(self.by_latent.indptr[latent], self.by_latent.indptr[latent + 1])
            rows = self.by_latent.indices[inside]
            scaled = self.by_latent.data[inside] / scale[latent]
            strongest[rows] = np.maximum(strongest[rows], scaled)
        return strongest

    def scores(self, vector: np.ndarray) -> np.ndarray:
        # Rounding makes equal sums equal: their order within a row must not decide a tie.
        return np.round(np.asarray(self.answers @ vector), 9)
