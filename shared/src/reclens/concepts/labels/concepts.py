"""From labelled latents to concepts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reclens.contracts.tables.concepts import Judgement, LatentLabel


@dataclass(frozen=True)
class Concept:
    """A labelled meaning, carried by one or more latents."""

    concept_id: str
    """Id within the release: ``[a-z0-9-]``, at most 63 characters, made of the label alone."""
    label: str
    """Label."""
    description: str
    """One sentence, that of the most confident latent."""
    keywords: tuple[str, ...]
    """Terms of the label."""
    confidence: float | None
    """Balanced accuracy of the label on verification users; None where it cannot be measured."""
    precision: float | None
    """Share of the judged cases predicted to fire that do."""
    recall: float | None
    """Share of the judged firing cases that are predicted."""
    auroc: float | None
    """Area under the ROC curve of the graded score."""
    n_positive: int
    """Firing verification cases judged."""
    n_negative: int
    """Silent verification cases judged."""
    trusted: bool
    """Clearly better than chance, and confidence of at least 0.7."""
    latents: tuple[int, ...]
    """Latents that carry it, most confident first."""
    weights: tuple[float, ...]
    """One per latent, 0 to 1: how much better than chance the label predicts it, relative to the
    best of them; all 1 where none is better."""
    evidence_items: tuple[str, ...]
    """Evidence of its latents, strongest first, each item once: first of each latent, then second
    of each, and so on."""
    source: str
    """Labeller."""
    parent_id: str | None = None
    """Id of the wider concept that it is part of: of the parent of its first latent, the one of the
    earliest level; where the parent carries no concept, of the parent's parent, and so on."""
    judgements: tuple[Judgement, ...] = ()
    """Of every judge, of the label for the first latent alone, the most confident one; the figures
    above are of the concept as a whole."""


def group_concepts(rows: Iterable[LatentLabel]) -> list[Concept]:
    """Join latents that carry the same concept; most confident concepts first.

    The figures of a concept are not means over its latents: they were measured for the concept as
    a whole, which fires where any of its latents does, with one threshold. That is the question a
    reader of the label asks, and a mean would count a case once per latent.
    """
    by_latent = {row.latent: row for row in rows}
    concepts = [
        _concept(concept_id, latents, _parent_concept(latents, by_latent))
        for concept_id, latents in rows_by_concept(by_latent.values()).items()
    ]
    return sorted(concepts, key=lambda c: (-_or(c.confidence, -1.0), c.concept_id))


def rows_by_concept(rows: Iterable[LatentLabel]) -> dict[str, list[LatentLabel]]:
    """Rows of latents that carry the same concept, by its id."""
    by_concept: dict[str, list[LatentLabel]] = {}
    for row in rows:
        if row.concept_id is not None:
            by_concept.setdefault(row.concept_id, []).append(row)
    return by_concept


def _parent_concept(rows: list[LatentLabel], by_latent: Mapping[int, LatentLabel]) -> str | None:
    # A parent is of an earlier level, so a lower latent. By the lowest latent alone a concept's
    # parent has a lower one still: concepts cannot be each other's parents.
    row = min(rows, key=lambda row: row.latent)
    while row.parent is not None and row.parent < row.latent and row.parent in by_latent:
        row = by_latent[row.parent]
        if row.concept_id is not None:
            return row.concept_id
    return None


def _concept(concept_id: str, rows: list[LatentLabel], parent_id: str | None) -> Concept:
    ordered = sorted(rows, key=lambda row: (-_or(row.confidence, -1.0), row.latent))
    first = ordered[0]
    above_chance = [max(0.0, _or(row.confidence, 0.5) - 0.5) for row in ordered]
    most = max(above_chance)
    return Concept(
        concept_id=concept_id,
        label=first.label or "",
        description=first.description,
        keywords=first.keywords,
        confidence=first.concept_confidence,
        precision=first.concept_precision,
        recall=first.concept_recall,
        auroc=first.concept_auroc,
        n_positive=first.concept_n_positive,
        n_negative=first.concept_n_negative,
        trusted=first.concept_trusted,
        latents=tuple(row.latent for row in ordered),
        weights=tuple(gain / most if most else 1.0 for gain in above_chance),
        evidence_items=_interleaved([row.evidence_items for row in ordered]),
        source=first.source,
        parent_id=parent_id,
        judgements=first.judgements,
    )


def _interleaved(lists: list[tuple[str, ...]]) -> tuple[str, ...]:
    depth = max(map(len, lists))
    turns = (items[i] for i in range(depth) for items in lists if i < len(items))
    return tuple(dict.fromkeys(turns))


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
