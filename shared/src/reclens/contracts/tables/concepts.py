"""The table of ``concepts/{id}/``: a row per latent, the unlabelled included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reclens.contracts.tables.table import Table


@dataclass(frozen=True)
class Judgement:
    """What one judge makes of a label, on users that the label was not made from."""

    judge: str
    """``keywords``, ``embedding`` or ``llm``."""
    confidence: float
    """Balanced accuracy; 0.5 is chance."""
    precision: float
    """Share of the judged cases predicted to fire that do."""
    recall: float
    """Share of the judged firing cases that are predicted."""
    recall_low: float
    """Lower end of the recall's 95 % Wilson interval."""
    recall_high: float
    """Upper end of the recall's interval."""
    specificity: float
    """Share of the judged silent cases that are predicted to be silent."""
    specificity_low: float
    """Lower end of the specificity's 95 % Wilson interval."""
    specificity_high: float
    """Upper end of the specificity's interval."""
    auroc: float
    """Area under the ROC curve of the graded score."""
    paper_p: float | None
    """P of the published protocol (arXiv 2411.06112)."""
    n_positive: int
    """Firing cases judged."""
    n_negative: int
    """Silent cases judged."""
    trusted: bool
    """Clearly better than chance, and confidence of at least 0.7."""
    shuffled_confidence: float | None = None
    """The control: ``confidence`` of another latent's label on the very same cases."""
    shuffled_auroc: float | None = None
    """The control: ``auroc`` of another latent's label on the very same cases."""
    shuffled_paper_p: float | None = None
    """The control: ``paper_p`` of another latent's label on the very same cases."""


@dataclass(frozen=True)
class LatentLabel:
    """What is known of one latent: row j of the table is latent j."""

    latent: int
    """Index of the latent."""
    concept_id: str | None = None
    """Id of the concept that it carries; None where it is unlabelled."""
    label: str | None = None
    """Label, e.g. ``Film-Noir · 1940s``."""
    description: str = ""
    """One sentence; for an unlabelled latent why it has no label."""
    keywords: tuple[str, ...] = ()
    """Terms of the label, most telling first."""
    support: float | None = None
    """Share of the evidence items that carry one of the terms, 0 to 1."""
    lift: float | None = None
    """How many times more of the answers carry them when the latent fires than in general."""
    confidence: float | None = None
    """Balanced accuracy on verification users; 0.5 is chance. None where it cannot be measured."""
    precision: float | None = None
    """Share of the judged cases predicted to fire that do."""
    recall: float | None = None
    """Share of the judged firing cases that are predicted."""
    recall_low: float | None = None
    """Lower end of the recall's 95 % Wilson interval."""
    recall_high: float | None = None
    """Upper end of the recall's interval."""
    specificity: float | None = None
    """Share of the judged silent cases that are predicted to be silent."""
    specificity_low: float | None = None
    """Lower end of the specificity's 95 % Wilson interval."""
    specificity_high: float | None = None
    """Upper end of the specificity's interval."""
    balanced_accuracy: float | None = None
    """Mean of recall and specificity."""
    auroc: float | None = None
    """Area under the ROC curve of the graded score, over all verification cases."""
    paper_p: float | None = None
    """P of the published protocol (arXiv 2411.06112)."""
    n_positive: int = 0
    """Firing verification cases judged."""
    n_negative: int = 0
    """Silent verification cases judged."""
    trusted: bool = False
    """Clearly better than chance, and a confidence of 0.7 (docs/explanation/concepts.md)."""
    concept_confidence: float | None = None
    """As ``confidence``, for the concept, which fires where any of its latents does. This and the
    other figures of the concept are equal in all rows of one ``concept_id``."""
    concept_precision: float | None = None
    """Share of the judged cases predicted to fire that do, for the concept."""
    concept_recall: float | None = None
    """Share of the judged firing cases that are predicted, for the concept."""
    concept_auroc: float | None = None
    """Area under the ROC curve of the graded score, for the concept."""
    concept_n_positive: int = 0
    """Firing verification cases that the concept was judged on."""
    concept_n_negative: int = 0
    """Silent verification cases that the concept was judged on."""
    concept_trusted: bool = False
    """As ``trusted``, for the concept."""
    evidence_items: tuple[str, ...] = ()
    """Item ids whose share of the answers rises most when the latent fires, most first."""
    source: str = "keywords"
    """Labeller."""
    prompt_version: str | None = None
    """Version of the prompt, for labellers that have one."""
    model: str | None = None
    """Language model, for labellers that have one."""
    evidence_hash: str | None = None
    """Of what the language model was shown, under which its answer is kept."""
    judgements: tuple[Judgement, ...] = ()
    """Of every judge that could measure the label; ``confidence`` and the figures beside it repeat
    those of the judge that was named first."""
    duplicate_group: int | None = None
    """Lowest latent of those that are copies of each other and share one label; None for a latent
    without a copy, and where copies were not looked for."""
    parent: int | None = None
    """Latent of an earlier nested level that fires in most cases in which this one does; None where
    there is none."""


CONCEPTS: Final = Table("concepts.parquet", LatentLabel)
