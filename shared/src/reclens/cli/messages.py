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
    """Id, label, confidence, number of latents, who labelled it, the first evidence."""
    evidence = "; ".join(item.title or item.item_id for item in list(concept.evidence)[:3])
    return [
        concept.concept_id,
        concept.label,
        f"{concept.confidence:.2f}",
        len(concept.latents),
        concept.source,
        evidence,
    ]


CONCEPT_COLUMNS = ["id", "label", "confidence", "latents", "labelled by", "read from"]
"""Headings of ``concept_row``."""


def movement(item: pb.Recommendation) -> str:
    """How far an item moved against the untouched ranking: ``↑12``, ``↓3``, ``=``."""
    up = item.baseline_rank - item.rank
    if not item.baseline_rank:
        return ""
    return "=" if up == 0 else f"↑{up}" if up > 0 else f"↓{-up}"
