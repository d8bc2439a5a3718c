"""What edits did to an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens_gateway.resolving.requests import Asked
from reclens_gateway.served_release import ServedRelease


def add_effect(
    served: ServedRelease, asked: Asked, answer: inference.RankResponse, out: steering.Effect
) -> None:
    """Write what the edits of ``asked`` did."""
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
    out.unknown_excluded_items = asked.unknown_excluded
    out.missing_items = asked.question.top_k - n_items
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
    for concept_id in named_concepts(asked.edits):
        out.concept_hits.add(
            concept_id=concept_id,
            label=served.concepts.get(concept_id, field="").label,
            before=served.carriers.count(concept_id, untouched),
            after=served.carriers.count(concept_id, items),
        )


def named_concepts(edits: Sequence[steering.Edit]) -> Iterable[str]:
    """Concepts that edits change, in order, each once."""
    named: dict[str, None] = {}
    for edit in edits:
        if edit.concept_id:
            named[edit.concept_id] = None
        elif edit.HasField("blend"):
            named.update(
                dict.fromkeys(part.concept_id for part in edit.blend.parts if part.concept_id)
            )
    return named
