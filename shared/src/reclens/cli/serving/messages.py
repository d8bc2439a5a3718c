"""Protobuf messages of the gateway as JSON and as text, and policies in files."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client.requests import MODES
from reclens.errors import InvalidInput
from reclens.platform.files import read_text

_MODES = {value: name for name, value in MODES.items()}


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


# --- Policies ------------------------------------------------------------------------------------


def read_policy(path: Path) -> pb.Policy:
    """The policy in a file: YAML or JSON, as ``policies show --json`` prints.

    Raises:
        MissingData: there is no such file.
        InvalidInput: it is not YAML or JSON, or no policy.
    """

    def refusal(problem: str) -> InvalidInput:
        return InvalidInput(
            f"{path} {problem}.", field="file", remedy="see docs/how-to/policies.md."
        )

    try:
        document = yaml.safe_load(read_text(path, field="file"))
    except yaml.YAMLError as error:
        raise refusal(f"is neither YAML nor JSON: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise refusal("holds no policy")
    try:
        return ParseDict(document, pb.Policy())
    except (ParseError, TypeError, ValueError) as error:
        raise refusal(f"holds no policy: {' '.join(str(error).split())}") from error


def policy_lines(policy: pb.Policy) -> list[str]:
    """What a policy says, a line for each thing."""
    lines = []
    if policy.description:
        lines.append(f"for      {plain(policy.description)}")
    if policy.release:
        lines.append(f"release  {plain(policy.release)} ({policy.autoencoder})")
    if policy.mode:
        lines.append(f"mode     {_MODES.get(policy.mode, policy.mode)}")
    lines += [f"edit     {edit_line(edit)}" for edit in policy.edits]
    lines += [
        f"at most  {limit.max_items} of {plain(limit.tag)}"
        for limit in policy.constraints.tag_limits
    ]
    lines += [f"never    {plain(item)}" for item in policy.constraints.exclude_item_ids]
    return lines


def edit_line(edit: pb.Edit) -> str:
    """An edit in words, e.g. ``film-noir: add +0.2, where comedy is above 0``."""
    if edit.WhichOneof("target") == "blend":
        parts = ", ".join(f"{part.weight:+g} {_target(part)}" for part in edit.blend.parts)
        target = f"blend of {parts}"
    else:
        target = _target(edit)
    operation = edit.WhichOneof("operation") or "nothing"
    what = operation
    if operation == "add":
        what = f"add {edit.add:+g}"
    elif operation in {"set", "scale"}:
        what = f"{operation} {getattr(edit, operation):g}"
    conditions = " and ".join(_condition(one) for one in edit.when)
    return f"{target}: {what}" + (f", where {conditions}" if conditions else "")


def difference(before: pb.Policy | None, after: pb.Policy) -> list[str]:
    """Lines that one version lost (``-``) and gained (``+``) over the one before."""
    if after.deleted:
        return ["deleted"]
    old = policy_lines(before) if before is not None else []
    compared = difflib.ndiff(old, policy_lines(after))
    return [line for line in compared if line[0] in "+-"]


def version_line(policy: pb.Policy) -> str:
    """Who wrote a version, when, and why."""
    by = f" by {plain(policy.author)}" if policy.author else ""
    why = f": {plain(policy.comment)}" if policy.comment else ""
    return f"version {policy.version}, {policy.changed_at}{by}{why}"


def plain(text: str) -> str:
    """Text on one line, without what a terminal would take for commands."""
    return "".join(one if one.isprintable() else " " for one in text)


def _target(target: pb.Edit | pb.BlendPart | pb.Condition) -> str:
    if target.WhichOneof("target") == "latent":
        return f"latent {target.latent}"
    return plain(target.concept_id)


def _condition(condition: pb.Condition) -> str:
    side = condition.WhichOneof("comparison") or "above"
    return f"{_target(condition)} is {side} {getattr(condition, side):g}"
