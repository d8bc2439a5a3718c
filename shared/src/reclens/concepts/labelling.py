"""Labels the latents of a dictionary and measures every label: all in one go, or in ranges.

What every latent is compared with (evidence, vocabulary, false discovery control) is made once, as
a `Workbench`. On it any range of latents can be labelled by itself, and the rows of all ranges,
however the latents were divided, join to the same concepts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from reclens.concepts.cases import Cases
from reclens.concepts.confidence import Confidence
from reclens.concepts.evidence import Evidence, gather_evidence
from reclens.concepts.grouping import LatentLabel
from reclens.concepts.judging import JudgedLabel, KeywordJudge
from reclens.concepts.keywords import (
    KeywordLabel,
    TermStatistics,
    choose_labels,
    term_statistics,
)
from reclens.concepts.rows import labelled_row, with_concept
from reclens.concepts.terms import Vocabulary, build_vocabulary
from reclens.concepts.text import unique_slugs
from reclens.contracts import ConceptsOptions
from reclens.data.dataset import Items
from reclens.errors import InvalidInput

_INTERPRETABLE = 0.8  # least P of an interpretable latent in the published protocol


@dataclass(frozen=True)
class Labelling:
    """Labels of all latents, and what they are worth in sum."""

    rows: list[LatentLabel]
    """Row j is latent j."""
    metrics: dict[str, Any]
    """See docs/concepts.md."""


@dataclass(frozen=True, eq=False)
class Workbench:
    """What labelling any latent takes. Nothing in it is changed, so threads may share it."""

    construct: Cases
    """Cases of the users that labels are made from."""
    verify: Cases
    """Cases of the users that they are judged on."""
    items: Items
    """Of the data set."""
    options: ConceptsOptions
    """How to label."""
    vocabulary: Vocabulary
    """Terms of the data set."""
    evidence: Evidence
    """Of all latents."""
    statistics: TermStatistics
    """Of all latents, with the false discovery rate controlled over all of them."""
    judge: KeywordJudge
    """Measures labels."""

    @property
    def n_latents(self) -> int:
        """Latents of the dictionary."""
        return self.construct.n_latents


@dataclass(frozen=True)
class LabelledLatent:
    """One latent, labelled and measured by itself: what joining all of them takes."""

    row: LatentLabel
    """Its row, its concept left open."""
    label: KeywordLabel | None
    """What the keyword matcher takes the row's label for; None where there is none."""
    threshold: float | None
    """Score from which the matcher says that the latent fires; None where the label could not be
    measured."""


class Labeller(Protocol):
    """Names latents. What it needs to know of all of them it was given when it was made."""

    def label(self, latents: Sequence[int]) -> Iterator[LabelledLatent]:
        """Yield these latents in turn, each as soon as it is labelled and measured.

        What is yielded for a latent must not depend on which others are asked for.
        """
        ...


class KeywordLabeller:
    """Labels by the terms that set a latent's answers apart from all answers."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    def label(self, latents: Sequence[int]) -> Iterator[LabelledLatent]:
        """Yield these latents in turn."""
        bench, options = self._workbench, self._workbench.options
        chosen = choose_labels(
            bench.construct.activations,
            bench.construct.item_weights(len(bench.items)),
            bench.evidence,
            bench.vocabulary,
            max_terms=options.max_terms,
            min_lift=options.min_lift,
            min_support=options.min_support,
            seed=options.seed,
            statistics=bench.statistics,
            latents=latents,
        )
        for latent, label in zip(latents, chosen, strict=True):
            found = bench.judge.of_latent(latent, label) if label is not None else None
            row = labelled_row(
                latent,
                label,
                found,
                evidence=bench.evidence,
                items=bench.items,
                vocabulary=bench.vocabulary,
            )
            yield LabelledLatent(row, label, None if found is None else found.threshold)


def prepare_workbench(
    construct: Cases,
    verify: Cases,
    items: Items,
    scale: np.ndarray,
    *,
    options: ConceptsOptions,
) -> Workbench:
    """Make what labelling any latent takes.

    Args:
        construct: cases of the users that labels are made from.
        verify: cases of other users.
        items: of the data set.
        scale: float [n_latents], unit of each latent's activation (its 99th percentile), in which
            latents of one concept are compared.
        options: how to label.

    Raises:
        InvalidInput: a user is in both divisions.
    """
    _check_disjoint(construct, verify)
    vocabulary = build_vocabulary(items, min_items=options.min_items)
    evidence = gather_evidence(construct, len(items), n_evidence=options.n_evidence)
    statistics = term_statistics(evidence, vocabulary)
    judge = KeywordJudge(
        construct,
        verify,
        evidence=evidence,
        vocabulary=vocabulary,
        inverse_frequency=statistics.inverse_frequency,
        scale=scale,
        options=options,
    )
    return Workbench(construct, verify, items, options, vocabulary, evidence, statistics, judge)


def label_range(workbench: Workbench, latents: Sequence[int]) -> Iterator[LabelledLatent]:
    """Label some latents by keywords; the others are no more than what they are compared with."""
    return KeywordLabeller(workbench).label(latents)


def join_latents(
    workbench: Workbench,
    latents: Sequence[LabelledLatent],
    *,
    on_concept: Callable[[int, int], None] = lambda done, total: None,
) -> Labelling:
    """Give latents with the same label one concept id, and measure what only all of them show.

    Args:
        workbench: that they were labelled on, or one made from the same.
        latents: all of the dictionary, each once, in order.
        on_concept: called with the number of concepts measured and of all.

    Raises:
        InvalidInput: entry j is not latent j, or one is missing.
    """
    if [one.row.latent for one in latents] != list(range(workbench.n_latents)):
        raise InvalidInput(
            f"to join {workbench.n_latents} latents takes each of them once, in order.",
            field="latents",
            remedy="give the rows of all ranges, first range first.",
        )
    rows = _with_concepts(latents, workbench.judge, on_concept)
    judged = {
        one.row.latent: JudgedLabel(one.label, one.threshold)
        for one in latents
        if one.label is not None and one.threshold is not None
    }
    metrics = {
        "construct_cases": len(workbench.construct),
        "verify_cases": len(workbench.verify),
        **_metrics(rows, workbench.evidence, workbench.judge.shuffled(judged)),
    }
    return Labelling(rows, metrics)


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

    All in one go; for the arguments see `prepare_workbench`.

    Args:
        on_latent: called with the number of latents done.

    Raises:
        InvalidInput: a user is in both divisions.
    """
    workbench = prepare_workbench(construct, verify, items, scale, options=options)
    labelled: list[LabelledLatent] = []
    for one in label_range(workbench, range(workbench.n_latents)):
        labelled.append(one)
        on_latent(len(labelled))
    return join_latents(workbench, labelled)


def _check_disjoint(construct: Cases, verify: Cases) -> None:
    both = np.intersect1d(construct.user_ids.astype(str), verify.user_ids.astype(str))
    if len(both):
        raise InvalidInput(
            f"user {both[0]!r} is among those that labels are made from and judged on.",
            field="autoencoder",
            remedy="capture again; a user belongs to one division.",
        )


def _with_concepts(
    latents: Sequence[LabelledLatent],
    judge: KeywordJudge,
    on_concept: Callable[[int, int], None],
) -> list[LatentLabel]:
    """Give latents with the same label one concept id, and the figures of that concept."""
    rows = [one.row for one in latents]
    slugs = unique_slugs([row.label for row in rows if row.label is not None])
    members: dict[str, list[int]] = {}
    for row in rows:
        if row.label is not None:
            members.setdefault(row.label, []).append(row.latent)
    for done, (text, ids) in enumerate(members.items()):
        on_concept(done, len(members))
        label = latents[ids[0]].label
        found = judge.of_concept(ids, label) if label is not None else None
        for latent in ids:
            rows[latent] = with_concept(rows[latent], slugs[text], found)
    return rows


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
