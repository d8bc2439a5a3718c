"""Labels all latents of a dictionary by keywords and measures every label."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from reclens.concepts.cases import Cases
from reclens.concepts.confidence import Confidence, best_threshold, judge, sample_cases
from reclens.concepts.evidence import Evidence, gather_evidence
from reclens.concepts.grouping import LatentLabel
from reclens.concepts.keywords import (
    KeywordLabel,
    choose_labels,
    label_vector,
    term_statistics,
)
from reclens.concepts.measures import wilson_interval
from reclens.concepts.terms import Vocabulary, build_vocabulary
from reclens.concepts.text import MAX_TITLE, clean, unique_slugs
from reclens.contracts import ConceptsOptions
from reclens.data.dataset import Items
from reclens.errors import InvalidInput

TRUSTED_CONFIDENCE = 0.7
"""Least confidence of a trusted label."""
_INTERPRETABLE = 0.8  # least P of an interpretable latent in the published protocol
_SEPARATOR = " · "
# Streams of random numbers, one per purpose and latent or concept.
_JUDGED, _PAPER, _CONCEPT, _SHUFFLE = range(4)


@dataclass(frozen=True)
class Labelling:
    """Labels of all latents, and what they are worth in sum."""

    rows: list[LatentLabel]
    """Row j is latent j."""
    metrics: dict[str, Any]
    """See docs/concepts.md."""


def label_latents(
    construct: Cases,
    verify: Cases,
    items: Items,
    scale: np.ndarray,
    *,
    options: ConceptsOptions,
    on_latent: Callable[[int], None] = lambda done: None,
) -> Labelling:
    """Label every latent from ``construct`` cases and judge every label on ``verify`` cases.

    Args:
        construct: cases of the users that labels are made from.
        verify: cases of other users.
        items: of the data set.
        scale: float [n_latents], unit of each latent's activation (its 99th percentile), in which
            latents of one concept are compared.
        options: how to label.
        on_latent: called with the number of latents done.

    Raises:
        InvalidInput: a user is in both divisions.
    """
    _check_disjoint(construct, verify)
    vocabulary = build_vocabulary(items, min_items=options.min_items)
    judgement = _Judgement(
        construct, verify, items, vocabulary=vocabulary, scale=scale, options=options
    )
    chosen = choose_labels(
        construct.activations,
        construct.item_weights(len(items)),
        judgement.evidence,
        vocabulary,
        max_terms=options.max_terms,
        min_lift=options.min_lift,
        min_support=options.min_support,
        seed=options.seed,
    )
    labels: list[KeywordLabel | None] = []
    found: list[Confidence | None] = []
    for latent, label in enumerate(chosen):
        labels.append(label)
        found.append(judgement.of_latent(latent, label) if label is not None else None)
        on_latent(latent + 1)
    rows = [
        _row(
            latent,
            label,
            confidence,
            evidence=judgement.evidence,
            items=items,
            vocabulary=vocabulary,
        )
        for latent, (label, confidence) in enumerate(zip(labels, found, strict=True))
    ]
    rows = _with_concepts(rows, labels, judgement)
    shuffled = judgement.shuffled(labels, found)
    metrics = {
        "construct_cases": len(construct),
        "verify_cases": len(verify),
        **_metrics(rows, judgement.evidence, shuffled),
    }
    return Labelling(rows, metrics)


class _Judgement:
    """The keyword matcher and the cases that it is asked about."""

    def __init__(
        self,
        construct: Cases,
        verify: Cases,
        items: Items,
        *,
        vocabulary: Vocabulary,
        scale: np.ndarray,
        options: ConceptsOptions,
    ) -> None:
        self.evidence = gather_evidence(construct, len(items), n_evidence=options.n_evidence)
        self._vocabulary = vocabulary
        self._inverse = term_statistics(self.evidence, vocabulary).inverse_frequency
        self._options = options
        self._scale = np.where(scale > 0, scale, 1.0)
        self._sides = [_Side.of(cases, len(items)) for cases in (construct, verify)]

    def of_latent(self, latent: int, label: KeywordLabel) -> Confidence | None:
        return self._judge([latent], label, [_JUDGED, latent])

    def of_concept(self, latents: Sequence[int], label: KeywordLabel) -> Confidence | None:
        return self._judge(latents, label, [_CONCEPT, *latents])

    def shuffled(
        self, labels: Sequence[KeywordLabel | None], found: Sequence[Confidence | None]
    ) -> list[Confidence]:
        """What the judge achieves on each judged latent's own cases with another one's label.

        Labels and their thresholds move on by one place in a random order, so that no latent
        keeps its own. The cases are the very ones that its own label was judged on.
        """
        judged = [latent for latent, confidence in enumerate(found) if confidence is not None]
        order = self._rng([_SHUFFLE]).permutation(judged)
        results = []
        for latent, other in zip(order, np.roll(order, 1), strict=True):
            label, borrowed = labels[other], found[other]
            if latent == other or label is None or borrowed is None:
                continue
            side = self._sides[1]
            values = side.values([int(latent)], self._scale)
            scores = side.scores(self._vector(label))
            cases = sample_cases(
                values,
                self._similarity(side, [int(latent)]),
                self._options.n_judged,
                self._rng([_JUDGED, int(latent), 1]),
            )
            stream = [_PAPER, _JUDGED, int(latent)]
            found_with_it = judge(scores, values, borrowed.threshold, cases, self._rng(stream))
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
        profile = np.asarray(self.evidence.item_shares[list(latents)].sum(axis=0)).ravel()
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


def _check_disjoint(construct: Cases, verify: Cases) -> None:
    both = np.intersect1d(construct.user_ids.astype(str), verify.user_ids.astype(str))
    if len(both):
        raise InvalidInput(
            f"user {both[0]!r} is among those that labels are made from and judged on.",
            field="autoencoder",
            remedy="capture again; a user belongs to one division.",
        )


def _row(
    latent: int,
    label: KeywordLabel | None,
    confidence: Confidence | None,
    *,
    evidence: Evidence,
    items: Items,
    vocabulary: Vocabulary,
) -> LatentLabel:
    evidence_items = tuple(items.ids[item] for item in evidence.items[latent])
    if label is None:
        fires = evidence.n_cases[latent] > 0
        why = "No term stands out in what it fires for." if fires else "It does not fire."
        return LatentLabel(latent, description=why, evidence_items=evidence_items)
    text, keywords, description = _worded(label, evidence, latent, items, vocabulary)
    row = LatentLabel(
        latent,
        label=text,
        description=description,
        keywords=keywords,
        support=label.support,
        lift=label.lift,
        evidence_items=evidence_items,
    )
    if confidence is None:
        return row
    counts = confidence.confusion
    recall = wilson_interval(counts.true_positive, counts.n_positive)
    specificity = wilson_interval(counts.true_negative, counts.n_negative)
    return replace(
        row,
        confidence=counts.balanced_accuracy,
        precision=counts.precision,
        recall=counts.recall,
        recall_low=recall[0],
        recall_high=recall[1],
        specificity=counts.specificity,
        specificity_low=specificity[0],
        specificity_high=specificity[1],
        balanced_accuracy=counts.balanced_accuracy,
        auroc=confidence.auroc,
        paper_p=None if math.isnan(confidence.paper_p) else confidence.paper_p,
        n_positive=counts.n_positive,
        n_negative=counts.n_negative,
        trusted=is_trusted(confidence),
    )


def is_trusted(confidence: Confidence) -> bool:
    """Whether a label is trusted: confidence of at least 0.7, and better than chance even if
    recall and specificity are both at the lower end of their 95 % Wilson intervals."""
    counts = confidence.confusion
    recall, _ = wilson_interval(counts.true_positive, counts.n_positive)
    specificity, _ = wilson_interval(counts.true_negative, counts.n_negative)
    return counts.balanced_accuracy >= TRUSTED_CONFIDENCE and recall + specificity > 1


def _worded(
    label: KeywordLabel, evidence: Evidence, latent: int, items: Items, vocabulary: Vocabulary
) -> tuple[str, tuple[str, ...], str]:
    """Label, keywords, description."""
    if label.item is not None:
        title = clean(items.titles[label.item], MAX_TITLE) or clean(
            items.ids[label.item], MAX_TITLE
        )
        description = (
            f"Fires when {title} is recommended first: {label.support:.0%} of its activation, "
            f"{label.lift:.1f} times the item's usual share of first places."
        )
        return f"One item: {title}", (title,), description
    keywords = tuple(vocabulary.terms[term].text for term in label.terms)
    n_items = len(evidence.items[latent])
    description = (
        f"Fires when {' or '.join(keywords)} is recommended: "
        f"{round(label.support * n_items)} of its {n_items} strongest items carry it, "
        f"{label.lift:.1f} times the usual share of recommendations."
    )
    return _SEPARATOR.join(keywords), keywords, description


def _with_concepts(
    rows: list[LatentLabel], labels: Sequence[KeywordLabel | None], judgement: _Judgement
) -> list[LatentLabel]:
    """Give latents with the same label one concept id, and the figures of that concept."""
    slugs = unique_slugs([row.label for row in rows if row.label is not None])
    members: dict[str, list[int]] = {}
    for row in rows:
        if row.label is not None:
            members.setdefault(row.label, []).append(row.latent)
    joined = list(rows)
    for text, latents in members.items():
        label = labels[latents[0]]
        assert label is not None
        found = judgement.of_concept(latents, label)
        for latent in latents:
            joined[latent] = _with_concept(rows[latent], slugs[text], found)
    return joined


def _with_concept(row: LatentLabel, concept_id: str, found: Confidence | None) -> LatentLabel:
    if found is None:
        return replace(row, concept_id=concept_id)
    counts = found.confusion
    return replace(
        row,
        concept_id=concept_id,
        concept_confidence=counts.balanced_accuracy,
        concept_precision=counts.precision,
        concept_recall=counts.recall,
        concept_auroc=found.auroc,
        concept_n_positive=counts.n_positive,
        concept_n_negative=counts.n_negative,
        concept_trusted=is_trusted(found),
    )


def _metrics(
    rows: Sequence[LatentLabel], evidence: Evidence, shuffled: Sequence[Confidence]
) -> dict[str, Any]:
    labelled = [row for row in rows if row.label is not None]
    areas = [row.auroc for row in labelled if row.auroc is not None]
    accuracies = [row.confidence for row in labelled if row.confidence is not None]
    published = [row.paper_p for row in labelled if row.paper_p is not None]
    return {
        "alive": int((evidence.n_cases > 0).sum()),
        "labelled": len(labelled),
        "judged": len(accuracies),
        "single_item": sum(row.label.startswith("One item: ") for row in labelled if row.label),
        "distinct": len({row.label for row in labelled}),
        "trusted": sum(row.trusted for row in labelled),
        "balanced_accuracy_median": _median(accuracies),
        "auroc_median": _median(areas),
        "auroc_share_08": float(np.mean(np.array(areas) >= 0.8)) if areas else None,
        "paper_p_share_08": _share_from(published, _INTERPRETABLE),
        "shuffled_auroc_median": _median([one.auroc for one in shuffled]),
        "shuffled_balanced_accuracy_median": _median(
            [one.confusion.balanced_accuracy for one in shuffled]
        ),
        "shuffled_paper_p_share_08": _share_from([one.paper_p for one in shuffled], _INTERPRETABLE),
    }


def _share_from(values: Sequence[float], least: float) -> float | None:
    """Share of known values of at least ``least``; None without any."""
    known = [value for value in values if not math.isnan(value)]
    return sum(value >= least for value in known) / len(known) if known else None


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if len(values) else None
