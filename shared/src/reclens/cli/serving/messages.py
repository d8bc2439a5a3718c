"""Protobuf messages of the gateway as JSON and as text."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from reclens.api.steering.v1 import steering_pb2 as pb


def as_json(message: Message) -> dict[str, Any]:
    """All fields under their proto names, defaults included."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def concept_row(concept: pb.Concept) -> list[Any]:
    """Id, label, confidence, whether it is trusted, number of latents, who labelled it, the first
    evidence."""
    evidence = "; ".join(item.title or item.item_id for item in list(concept.evidence)[:3])
    return [
        concept.concept_id,
        concept.label,
        confidence_text(concept),
        "✓" if concept.trusted else "",
        len(concept.latents),
        concept.source,
        evidence,
    ]


CONCEPT_COLUMNS = ["id", "label", "confidence", "trusted", "latents", "labelled by", "read from"]
"""Headings of ``concept_row``."""


def confidence_text(label: pb.Concept | pb.FiringLatent | pb.ProposedPart) -> str:
    """Confidence with two digits, or that there is none."""
    return f"{label.confidence:.2f}" if label.measured else "not measured"


def judgement_line(judgement: pb.Judgement) -> str:
    """What a judge makes of a label, beside its control, on one line."""
    control = "no control"
    if judgement.HasField("shuffled_confidence"):
        control = f"another label {judgement.shuffled_confidence:.2f}"
        if judgement.HasField("shuffled_auroc"):
            control += f", AUROC {judgement.shuffled_auroc:.2f}"
    return (
        f"{judgement.judge}: {judgement.confidence:.2f}, AUROC {judgement.auroc:.2f} "
        f"({control}); recall {judgement.recall_low:.2f}-{judgement.recall_high:.2f}, "
        f"specificity {judgement.specificity_low:.2f}-{judgement.specificity_high:.2f} on "
        f"{judgement.n_positive} firing and {judgement.n_negative} silent cases"
    )


def movement(item: pb.Recommendation) -> str:
    """How far an item moved against the untouched ranking: ``↑12``, ``↓3``, ``=``.

    Empty, where its place in that is not known.
    """
    if not item.baseline_rank:
        return ""
    up = item.baseline_rank - item.rank
    return "=" if up == 0 else f"↑{up}" if up > 0 else f"↓{-up}"


def effect_lines(effect: pb.Effect, *, steered: bool, top_k: int) -> list[str]:
    """What edits and constraints did, in sentences.

    Args:
        effect: as the answer tells it.
        steered: whether there were edits.
        top_k: items that were asked for.
    """
    lines: list[str] = []
    if steered:
        lines.append(
            f"{effect.overlap:.0%} of the untouched top {top_k} kept; the representation moved by "
            f"{effect.relative_shift:.0%} of its norm, over {effect.edited_latents} latents"
        )
        lines += [
            f"{hits.label}: {hits.after} items, untouched {hits.before}"
            for hits in effect.concept_hits
        ]
        lines += [
            f"edit {idle.index + 1} changed nothing: {idle.reason}" for idle in effect.idle_edits
        ]
    if effect.missing_items:
        lines.append(f"{effect.missing_items} items fewer than asked for: no more may be answered")
    if effect.unknown_excluded_items:
        lines.append(f"{effect.unknown_excluded_items} excluded ids are not in the data set")
    return lines
