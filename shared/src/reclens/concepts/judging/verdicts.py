"""A reader as a judge: what it achieves with a label on the cases it is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reclens.concepts.judging.confidence import Confidence, best_threshold, judge
from reclens.concepts.judging.held_out import CONSTRUCT, VERIFY, HeldOutCases, SideIndex
from reclens.concepts.judging.judges import Reader, Statement
from reclens.contracts import JudgeName

# Streams of random numbers, one per purpose and latent or concept.
JUDGED, PAPER, CONCEPT, SHUFFLE = range(4)


@dataclass(frozen=True)
class JudgedStatement:
    """A statement with the threshold that was fixed for it."""

    statement: Statement
    """What the judge was told."""
    threshold: float
    """Score from which it says that the latent fires."""


class Judge:
    """Says from a label alone which cases fire a latent. Safe to share between threads.

    Args:
        reader: what the label says for each item.
        cases: of both divisions of users.
        n_judged: firing cases of a judgement at most, and as many silent ones.
    """

    def __init__(self, reader: Reader, cases: HeldOutCases, *, n_judged: int) -> None:
        self._reader = reader
        self._cases = cases
        self._n_judged = n_judged

    @property
    def name(self) -> JudgeName:
        """Which judge it is."""
        return self._reader.name

    def case_scores(self, side: SideIndex, statement: Statement) -> np.ndarray | None:
        """What each case scores by the label, float64 [n_cases]; None: it cannot be read."""
        item_scores = self._reader.item_scores(statement)
        return None if item_scores is None else self._cases.scores(side, item_scores)

    def of_latent(self, latent: int, statement: Statement) -> Confidence | None:
        """What the label is worth for one latent; None where it cannot be measured or read."""
        return self._judge([latent], statement, [JUDGED, latent])

    def of_concept(self, latents: Sequence[int], statement: Statement) -> Confidence | None:
        """What it is worth for a concept, which fires where any of its latents does."""
        return self._judge(latents, statement, [CONCEPT, *latents])

    def shuffled(self, judged: Mapping[int, JudgedStatement]) -> dict[int, Confidence]:
        """What the judge achieves on each judged latent's own cases with another one's label.

        Labels and their thresholds move on by one place in a random order, so that no latent
        keeps its own. The cases are the very ones that its own label was judged on.

        Args:
            judged: by latent, in rising order.
        """
        order = self._cases.rng([SHUFFLE]).permutation(list(judged))
        results: dict[int, Confidence] = {}
        for latent, other in zip(order.tolist(), np.roll(order, 1).tolist(), strict=True):
            if latent == other:
                continue
            borrowed = judged[other]
            found = self._on_verify(
                [latent], borrowed.statement, borrowed.threshold, [JUDGED, latent]
            )
            if found is not None:
                results[latent] = found
        return results

    def _judge(
        self, latents: Sequence[int], statement: Statement, stream: list[int]
    ) -> Confidence | None:
        scores = self.case_scores(CONSTRUCT, statement)
        if scores is None:
            return None
        asked = self._cases.sample(CONSTRUCT, latents, self._n_judged, stream)
        threshold = best_threshold(scores[asked.rows], asked.fires)
        return self._on_verify(latents, statement, threshold, stream)

    def _on_verify(
        self, latents: Sequence[int], statement: Statement, threshold: float, stream: list[int]
    ) -> Confidence | None:
        scores = self.case_scores(VERIFY, statement)
        if scores is None:
            return None
        return judge(
            scores,
            self._cases.values(VERIFY, latents),
            threshold,
            self._cases.sample(VERIFY, latents, self._n_judged, stream),
            self._cases.rng([PAPER, *stream]),
        )
