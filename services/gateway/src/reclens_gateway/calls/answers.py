"""Inference answers to public answers: rows get titles, latents get names, edits their effect."""

from __future__ import annotations

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.concepts.catalog.items import ItemEntry
from reclens.concepts.labels.concepts import Concept
from reclens.platform.observability import metrics
from reclens.steering.pushes import ConceptPush
from reclens.steering.wire import named_concepts
from reclens_gateway.resolving import ResolvedRequest, ServedRelease

_JUDGEMENT_FIELDS = [field.name for field in steering.Judgement.DESCRIPTOR.fields]

# --- recommendations -----------------------------------------------------------------------------


def recommend_response(
    served: ServedRelease,
    resolved: ResolvedRequest,
    answer: inference.RankResponse,
    *,
    explain: bool,
    request_id: str,
) -> steering.RecommendResponse:
    """The answer to Recommend."""
    response = steering.RecommendResponse(
        versions=served.versions, request_id=request_id, policy=resolved.policy
    )
    add_items(served, answer.ranked, response.items)
    if answer.HasField("baseline"):
        add_items(served, answer.baseline, response.baseline)
    add_effect(served, resolved, answer, response.effect)
    if resolved.edits and metrics.enabled():
        effect = response.effect
        for edit in resolved.edits:
            metrics.current().edits.labels(edit.WhichOneof("operation") or "").inc()
        metrics.observe_effect(served.release.name, effect.overlap, effect.relative_shift)
    if explain:
        add_explanation(served, answer, response.explanation)
    return response


def explain_response(
    served: ServedRelease, answer: inference.RankResponse, request_id: str
) -> steering.ExplainResponse:
    """The answer to Explain."""
    response = steering.ExplainResponse(
        history=[history_item(served.items.entry(row)) for row in answer.history],
        versions=served.versions,
        request_id=request_id,
    )
    add_items(served, answer.ranked, response.items)
    add_explanation(served, answer, response.explanation)
    return response


def add_items(served: ServedRelease, ranked: inference.RankedItems, out: object) -> None:
    """Append ranked items with titles and tags.

    Args:
        served: the version that answered.
        ranked: columns.
        out: a repeated field of `steering.Recommendation`.
    """
    template, add = served.items.template, out.add  # pyright: ignore[reportAttributeAccessIssue]
    columns = zip(ranked.items, ranked.scores, ranked.baseline_ranks, strict=True)
    # One copy of what is known of an item: its texts are not made into Python objects again.
    for rank, (row, score, baseline_rank) in enumerate(columns, start=1):
        item = add()
        item.CopyFrom(template(row))
        item.score = score
        item.rank = rank
        item.baseline_rank = baseline_rank


def add_effect(
    served: ServedRelease,
    resolved: ResolvedRequest,
    answer: inference.RankResponse,
    out: steering.Effect,
) -> None:
    """Write what the edits of ``resolved`` did."""
    ranked = answer.ranked
    items = list(ranked.items)
    n_items = len(items)
    # Without edits the inference service lists no untouched answer: it is this one.
    untouched = list(answer.baseline_items) or items
    entered = len(set(items).difference(untouched))
    out.overlap = (n_items - entered) / len(untouched) if untouched else 1.0
    out.entered_items = entered
    out.relative_shift = answer.relative_shift
    out.edited_latents = answer.edited_latents
    out.unknown_excluded_items = resolved.unknown_excluded
    out.missing_items = resolved.rank.top_k - n_items
    if n_items:
        out.score_shift = (sum(ranked.scores) - sum(ranked.baseline_scores)) / n_items
        places = enumerate(ranked.baseline_ranks, start=1)
        # 0: not known, see the inference service.
        gains = [before - rank for rank, before in places if before]
        if gains:
            out.mean_rank_gain = sum(gains) / len(gains)
            out.largest_rank_gain = max(gains, key=abs)
    for idle in answer.idle_edits:
        out.idle_edits.add(index=idle.index, reason=idle.reason)
    for concept_id in named_concepts(resolved.edits):
        out.concept_hits.add(
            concept_id=concept_id,
            label=served.concepts.get(concept_id, field="").label,
            before=served.carriers.count(concept_id, untouched),
            after=served.carriers.count(concept_id, items),
        )


def add_explanation(
    served: ServedRelease, answer: inference.RankResponse, out: steering.Explanation
) -> None:
    """Write firing latents with their names, and what else adds to the scores."""
    for firing in answer.latents:
        entry = out.latents.add(
            latent=firing.latent,
            activation=firing.activation,
            edited_activation=firing.edited_activation,
            contributions=firing.contributions,
        )
        name_latent(served, entry)
    out.unexplained.extend(answer.unexplained)
    out.biases.extend(answer.biases)


def history_item(entry: ItemEntry) -> steering.HistoryItem:
    """An item with title and tags."""
    return steering.HistoryItem(item_id=entry.item_id, title=entry.title, tags=entry.tags)


# --- latents and concepts ------------------------------------------------------------------------


def name_latent(
    served: ServedRelease, entry: steering.FiringLatent | steering.ProposedPart
) -> None:
    """Write what the latent of ``entry`` stands for, where it is labelled."""
    label = served.concepts.label(entry.latent)
    if label is not None:
        entry.concept_id = label.concept_id or ""
        entry.label = label.label or ""
        entry.confidence = label.confidence or 0.0
        entry.measured = label.confidence is not None
        entry.trusted = label.trusted


def proposed_part(served: ServedRelease, latent: int, weight: float) -> steering.ProposedPart:
    """A latent with its weight and its label."""
    part = steering.ProposedPart(latent=latent, weight=weight)
    name_latent(served, part)
    return part


def push_message(served: ServedRelease, push: ConceptPush) -> list[steering.ProposedPart]:
    """What adding a concept pushes, heaviest first; none where it is the concept's own latents."""
    if not push.shares:
        return []
    heaviest = max(map(abs, push.shares))
    return [
        proposed_part(served, latent, share / heaviest)
        for latent, share in zip(push.group.latents, push.shares, strict=True)
    ]


def concept_message(served: ServedRelease, concept: Concept) -> steering.Concept:
    """A concept with its evidence's titles. What was not measured stays at 0."""
    return steering.Concept(
        concept_id=concept.concept_id,
        label=concept.label,
        description=concept.description,
        keywords=concept.keywords,
        confidence=concept.confidence,
        precision=concept.precision,
        recall=concept.recall,
        n_positive=concept.n_positive,
        n_negative=concept.n_negative,
        latents=concept.latents,
        evidence=[history_item(served.items[item_id]) for item_id in concept.evidence_items],
        source=concept.source,
        parent_concept_id=concept.parent_id,
        measured=concept.confidence is not None,
        trusted=concept.trusted,
        auroc=concept.auroc,
        judgements=[
            steering.Judgement(**{name: getattr(one, name) for name in _JUDGEMENT_FIELDS})
            for one in concept.judgements
        ],
    )
