"""Inference answers to public answers: rows get titles, latents get names."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.errors import RecLensError
from reclens.platform.observability import metrics
from reclens_gateway.calls.effects import add_effect
from reclens_gateway.resolving.requests import Asked
from reclens_gateway.served_release import ServedRelease


def recommend_response(
    served: ServedRelease,
    asked: Asked,
    answer: inference.RankResponse,
    *,
    explain: bool,
    request_id: str,
) -> steering.RecommendResponse:
    """The answer to Recommend."""
    response = steering.RecommendResponse(
        versions=served.versions, request_id=request_id, policy=asked.policy
    )
    add_items(served, answer.ranked, response.items)
    if answer.HasField("baseline"):
        add_items(served, answer.baseline, response.baseline)
    add_effect(served, asked, answer, response.effect)
    if asked.edits and metrics.enabled():
        effect = response.effect
        metrics.observe_edits(edit.WhichOneof("operation") or "" for edit in asked.edits)
        metrics.observe_effect(served.release.name, effect.overlap, effect.relative_shift)
    if explain:
        add_explanation(served, answer, response.explanation)
    return response


def explain_response(
    served: ServedRelease, answer: inference.RankResponse, request_id: str
) -> steering.ExplainResponse:
    """The answer to Explain."""
    response = steering.ExplainResponse(
        history=[history_item(served, row) for row in answer.history],
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


def history_item(served: ServedRelease, row: int) -> steering.HistoryItem:
    """An item with title and tags."""
    entry = served.items.entry(row)
    return steering.HistoryItem(item_id=entry.item_id, title=entry.title, tags=entry.tags)


def history_items(served: ServedRelease, item_ids: Iterable[str]) -> list[steering.HistoryItem]:
    """Items by id, with titles and tags."""
    entries = (served.items[item_id] for item_id in item_ids)
    return [
        steering.HistoryItem(item_id=one.item_id, title=one.title, tags=one.tags) for one in entries
    ]


def failure_of(error: RecLensError) -> steering.RecommendFailure:
    """The outcome of an entry that was refused."""
    return steering.RecommendFailure(
        code=grpc.StatusCode[error.grpc_code].value[0],
        reason=error.reason,
        field=error.field,
        message=str(RecLensError(error.message, remedy=error.remedy)),
        retry_seconds=error.retry_seconds,
    )
