"""Policies as lines of text, and what changed from one version to the next."""

from __future__ import annotations

import difflib

from reclens.api.steering.v1 import steering_pb2 as pb

_MODES = {
    pb.STEERING_MODE_RESIDUAL: "residual",
    pb.STEERING_MODE_RECONSTRUCT: "reconstruct",
}


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
