"""Concepts as messages."""

from __future__ import annotations

from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.concepts.labels.concepts import Concept
from reclens.contracts.tables.concepts import Judgement
from reclens.steering.pushes import ConceptPush
from reclens_gateway.calls.answering import history_items, name_latent
from reclens_gateway.served_release import ServedRelease


def concept_message(served: ServedRelease, concept: Concept) -> steering.Concept:
    """A concept with its evidence's titles."""
    return steering.Concept(
        concept_id=concept.concept_id,
        label=concept.label,
        description=concept.description,
        keywords=concept.keywords,
        confidence=concept.confidence or 0.0,
        precision=concept.precision or 0.0,
        recall=concept.recall or 0.0,
        n_positive=concept.n_positive,
        n_negative=concept.n_negative,
        latents=concept.latents,
        evidence=history_items(served, concept.evidence_items),
        source=concept.source,
        parent_concept_id=concept.parent_id or "",
        measured=concept.confidence is not None,
        trusted=concept.trusted,
        auroc=concept.auroc or 0.0,
        judgements=[_judgement(one) for one in concept.judgements],
    )


def push_message(served: ServedRelease, push: ConceptPush) -> list[steering.ProposedPart]:
    """What adding a concept pushes, heaviest first; none where it is the concept's own latents."""
    if not push.shares:
        return []
    heaviest = max(map(abs, push.shares))
    return [
        proposed_part(served, latent, share / heaviest)
        for latent, share in zip(push.latents, push.shares, strict=True)
    ]


def proposed_part(served: ServedRelease, latent: int, weight: float) -> steering.ProposedPart:
    """A latent with its weight and its label."""
    part = steering.ProposedPart(latent=latent, weight=weight)
    name_latent(served, part)
    return part


def _judgement(judgement: Judgement) -> steering.Judgement:
    return steering.Judgement(
        judge=judgement.judge,
        confidence=judgement.confidence,
        precision=judgement.precision,
        recall=judgement.recall,
        recall_low=judgement.recall_low,
        recall_high=judgement.recall_high,
        specificity=judgement.specificity,
        specificity_low=judgement.specificity_low,
        specificity_high=judgement.specificity_high,
        auroc=judgement.auroc,
        n_positive=judgement.n_positive,
        n_negative=judgement.n_negative,
        trusted=judgement.trusted,
        shuffled_confidence=judgement.shuffled_confidence,
        shuffled_auroc=judgement.shuffled_auroc,
    )
