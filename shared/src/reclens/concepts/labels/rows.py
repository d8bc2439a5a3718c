"""Rows of the concepts table: a latent's label in words, its figures and its concept's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, Final

import numpy as np

from reclens.concepts.evidence.classification_metrics import wilson_interval
from reclens.concepts.evidence.item_text import item_name
from reclens.concepts.evidence.keywords import KeywordLabel
from reclens.concepts.evidence.latent_evidence import Evidence
from reclens.concepts.evidence.vocabulary import Vocabulary
from reclens.concepts.judging.confidence import Confidence
from reclens.concepts.judging.judges import Statement
from reclens.contracts import JudgeName
from reclens.contracts.tables.concepts import Judgement, LatentLabel
from reclens.data.dataset import Items

TRUSTED_CONFIDENCE = 0.7
"""Least confidence of a trusted label."""
ONE_ITEM: Final = "One item: "
"""Begins a keyword label that is the name of one item."""
_SEPARATOR = " · "
_NO_QUOTES = str.maketrans("", "", "“”")
# Figures of a judgement that a row repeats, and what they are where there is none.
_FIGURES: Final = [
    field.name
    for field in fields(Judgement)
    if field.name != "judge" and not field.name.startswith("shuffled")
]
_UNMEASURED: Final = {
    field.name: field.default for field in fields(LatentLabel) if field.name in _FIGURES
}


def keyword_row(
    latent: int,
    label: KeywordLabel | None,
    *,
    evidence: Evidence,
    items: Items,
    vocabulary: Vocabulary,
) -> LatentLabel:
    """The row of a latent that is labelled by keywords, its concept and its worth left open.

    Args:
        latent: index of the latent.
        label: None where nothing can honestly be said.
        evidence: of all latents.
        items: of the data set.
        vocabulary: that the label's terms are columns of.
    """
    evidence_items = tuple(items.ids[item] for item in evidence.items[latent])
    if label is None:
        fires = evidence.n_cases[latent] > 0
        why = "No term stands out in what it fires for." if fires else "It does not fire."
        return LatentLabel(latent, description=why, evidence_items=evidence_items)
    text, keywords, description = _worded(label, evidence, latent, items, vocabulary)
    return LatentLabel(
        latent,
        label=text,
        description=description,
        keywords=keywords,
        support=label.support,
        lift=label.lift,
        evidence_items=evidence_items,
    )


def names_one_item(label: str | None, source: str) -> bool:
    """Whether a label was made of one item's name, which then is its only keyword.

    Args:
        label: None where there is none.
        source: who made it. What people or language models say may begin alike and means no item.
    """
    return source == "keywords" and label is not None and label.startswith(ONE_ITEM)


def keyword_statement(row: LatentLabel, label: KeywordLabel) -> Statement:
    """What judges are told of a row that is labelled by keywords."""
    # Quotes mark title words for people; to a judge of sentences they mean nothing.
    text = " or ".join(row.keywords).translate(_NO_QUOTES)
    return Statement(text, label)


def judgement_of(judge: JudgeName, found: Confidence) -> Judgement:
    """What a judge achieved, as the table keeps it."""
    counts = found.confusion
    recall = wilson_interval(counts.true_positive, counts.n_positive)
    specificity = wilson_interval(counts.true_negative, counts.n_negative)
    return Judgement(
        judge=judge,
        confidence=counts.balanced_accuracy,
        precision=counts.precision,
        recall=counts.recall,
        recall_low=recall[0],
        recall_high=recall[1],
        specificity=counts.specificity,
        specificity_low=specificity[0],
        specificity_high=specificity[1],
        auroc=found.auroc,
        paper_p=None if math.isnan(found.paper_p) else found.paper_p,
        n_positive=counts.n_positive,
        n_negative=counts.n_negative,
        trusted=is_trusted(found),
    )


def with_control(judgement: Judgement, found: Confidence) -> Judgement:
    """The judgement beside its control: what the judge achieved with another latent's label."""
    return replace(
        judgement,
        shuffled_confidence=found.confusion.balanced_accuracy,
        shuffled_auroc=found.auroc,
        shuffled_paper_p=None if math.isnan(found.paper_p) else found.paper_p,
    )


def with_judgements(
    row: LatentLabel, judgements: Sequence[Judgement], first: JudgeName
) -> LatentLabel:
    """The row with what judges made of it; its own figures are those of the judge ``first``."""
    own = next((one for one in judgements if one.judge == first), None)
    figures = _UNMEASURED if own is None else {name: getattr(own, name) for name in _FIGURES}
    return replace(
        row,
        **figures,
        balanced_accuracy=None if own is None else own.confidence,
        judgements=tuple(judgements),
    )


def with_concept(row: LatentLabel, concept_id: str | None, found: Confidence | None) -> LatentLabel:
    """The row with its concept's id, and the figures that were found for the whole concept.

    Args:
        row: of a latent that carries it.
        concept_id: its id; None leaves it open.
        found: None where the concept cannot be measured: the row then has no such figures.
    """
    counts = found.confusion if found is not None else None
    return replace(
        row,
        concept_id=concept_id,
        concept_confidence=counts.balanced_accuracy if counts else None,
        concept_precision=counts.precision if counts else None,
        concept_recall=counts.recall if counts else None,
        concept_auroc=found.auroc if found else None,
        concept_n_positive=counts.n_positive if counts else 0,
        concept_n_negative=counts.n_negative if counts else 0,
        concept_trusted=found is not None and is_trusted(found),
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
        name = item_name(items, label.item)
        description = (
            f"Fires when {name} is recommended first: {label.support:.0%} of its activation, "
            f"{label.lift:.1f} times the item's usual share of first places."
        )
        return f"{ONE_ITEM}{name}", (name,), description
    keywords = tuple(vocabulary.terms[term].text for term in label.terms)
    n_items = len(evidence.items[latent])
    description = (
        f"Fires when {' or '.join(keywords)} is recommended: "
        f"{round(label.support * n_items)} of its {n_items} strongest items carry it, "
        f"{label.lift:.1f} times the usual share of recommendations."
    )
    return _SEPARATOR.join(keywords), keywords, description


_INTERPRETABLE = 0.8  # least P of an interpretable latent in the published protocol


def label_metrics(rows: Sequence[LatentLabel], judges: Sequence[JudgeName]) -> dict[str, Any]:
    """Counts of labels; the figures of the first judge; and those of every judge by name.

    Args:
        rows: row j is latent j, judgements and controls filled in.
        judges: as they were named, the one that decides first.
    """
    labelled = [row for row in rows if row.label is not None]
    by_judge = {name: _figures(_by(name, labelled)) for name in judges}
    return {
        "labelled": len(labelled),
        "single_item": sum(names_one_item(row.label, row.source) for row in labelled),
        "distinct": len({row.label for row in labelled}),
        **by_judge[judges[0]],
        "judges": by_judge,
    }


def _by(judge: JudgeName, rows: Iterable[LatentLabel]) -> list[Judgement]:
    return [one for row in rows for one in row.judgements if one.judge == judge]


def _figures(judged: Sequence[Judgement]) -> dict[str, Any]:
    areas = [one.auroc for one in judged]
    return {
        "judged": len(judged),
        "trusted": sum(one.trusted for one in judged),
        "balanced_accuracy_median": _median(one.confidence for one in judged),
        "auroc_median": _median(areas),
        "auroc_share_08": float(np.mean(np.array(areas) >= 0.8)) if areas else None,
        "paper_p_share_08": _share(one.paper_p for one in judged),
        "shuffled_auroc_median": _median(one.shuffled_auroc for one in judged),
        "shuffled_balanced_accuracy_median": _median(one.shuffled_confidence for one in judged),
        "shuffled_paper_p_share_08": _share(one.shuffled_paper_p for one in judged),
    }


def _share(values: Iterable[float | None]) -> float | None:
    """Share of the known P that make a latent interpretable; None without any."""
    known = [value for value in values if value is not None]
    return sum(value >= _INTERPRETABLE for value in known) / len(known) if known else None


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
