"""Inference answers to public answers: ids get titles, latents get names."""

from __future__ import annotations

from collections.abc import Iterable

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.concepts.grouping import Concept, Judgement
from reclens.contracts import Release
from reclens_gateway.served_release import ServedRelease


def recommend_response(
    served: ServedRelease, answer: inference.RankResponse, *, explain: bool, request_id: str
) -> steering.RecommendResponse:
    """The answer to Recommend."""
    return steering.RecommendResponse(
        items=recommendations(served, answer.items),
        baseline=recommendations(served, answer.baseline),
        effect=_effect(answer),
        explanation=explanation(served, answer) if explain else None,
        versions=versions(served.release),
        request_id=request_id,
    )


def explain_response(
    served: ServedRelease, answer: inference.RankResponse, request_id: str
) -> steering.ExplainResponse:
    """The answer to Explain."""
    return steering.ExplainResponse(
        history=history_items(served, answer.history_item_ids),
        items=recommendations(served, answer.items),
        explanation=explanation(served, answer),
        versions=versions(served.release),
        request_id=request_id,
    )


def recommendations(
    served: ServedRelease, items: Iterable[inference.RankedItem]
) -> list[steering.Recommendation]:
    """Ranked items with titles and tags."""
    return [
        steering.Recommendation(
            item_id=item.item_id,
            title=served.items[item.item_id].title,
            tags=served.items[item.item_id].tags,
            score=item.score,
            rank=rank,
            baseline_rank=item.baseline_rank,
        )
        for rank, item in enumerate(items, start=1)
    ]


def _effect(answer: inference.RankResponse) -> steering.Effect:
    n_items = len(answer.items)
    # The untouched top k are those whose untouched rank is at most k.
    kept = sum(item.baseline_rank <= n_items for item in answer.items)
    shift = sum(item.score - item.baseline_score for item in answer.items)
    return steering.Effect(
        overlap=kept / n_items if n_items else 1.0,
        score_shift=shift / n_items if n_items else 0.0,
        relative_shift=answer.relative_shift,
        edited_latents=answer.edited_latents,
        idle_edits=[
            steering.IdleEdit(index=idle.index, reason=idle.reason) for idle in answer.idle_edits
        ],
    )


def explanation(served: ServedRelease, answer: inference.RankResponse) -> steering.Explanation:
    """Firing latents with their names."""
    latents: list[steering.FiringLatent] = []
    for firing in answer.latents:
        label = served.concepts.label(firing.latent)
        latents.append(
            steering.FiringLatent(
                latent=firing.latent,
                concept_id=(label.concept_id or "") if label else "",
                label=(label.label or "") if label else "",
                confidence=(label.confidence or 0.0) if label else 0.0,
                activation=firing.activation,
                edited_activation=firing.edited_activation,
                contributions=firing.contributions,
                measured=label is not None and label.confidence is not None,
                trusted=label is not None and label.trusted,
            )
        )
    return steering.Explanation(
        latents=latents, unexplained=answer.unexplained, biases=answer.biases
    )


def history_items(served: ServedRelease, item_ids: Iterable[str]) -> list[steering.HistoryItem]:
    """Items of a history with titles and tags."""
    return [
        steering.HistoryItem(
            item_id=item_id, title=served.items[item_id].title, tags=served.items[item_id].tags
        )
        for item_id in item_ids
    ]


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


def versions(release: Release) -> steering.Versions:
    """The versions that ``release`` pins."""
    return steering.Versions(
        release=release.name,
        release_version=release.version,
        recommender=release.recommender,
        autoencoder=release.autoencoder,
        concepts=release.concepts,
    )
