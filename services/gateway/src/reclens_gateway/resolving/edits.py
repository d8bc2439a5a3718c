"""Public edits to edits of latents: targets become groups, conditions and strengths are checked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.errors import InvalidInput
from reclens.steering.edits import MAX_EDITS, MAX_STRENGTH, check_strength
from reclens_gateway.served_release import ServedRelease

MAX_PARTS = 100
"""Parts of one blend."""
MAX_CONDITIONS = 10
"""Conditions of one edit."""

_OPERATIONS = {
    "set": inference.EDIT_OPERATION_SET,
    "scale": inference.EDIT_OPERATION_SCALE,
    "add": inference.EDIT_OPERATION_ADD,
    "ablate": inference.EDIT_OPERATION_ABLATE,
}
_COMPARISONS = {"above": inference.COMPARISON_ABOVE, "below": inference.COMPARISON_BELOW}


def resolve_edits(
    served: ServedRelease,
    edits: Sequence[steering.Edit],
    *,
    field: str = "edits",
    check_only: bool = False,
) -> list[inference.LatentEdit]:
    """Each edit as one edit of latents, in the same order.

    Args:
        served: the version that they are for.
        edits: as callers write them.
        field: name of their field, for errors.
        check_only: whether only errors are wanted. Else the pushes of the concepts that are added
            must have been learnt, see `ConceptPushes`.

    Raises:
        InvalidInput: too many, a latent out of range, no target or operation, a bad strength,
            weight or level, a blend that is not added.
        NotFound: an unknown concept.
    """
    if len(edits) > MAX_EDITS:
        raise InvalidInput(
            f"{len(edits)} edits are too many.", field=field, remedy=f"send at most {MAX_EDITS}."
        )
    return [
        _resolve(served, edit, f"{field}[{index}]", check_only) for index, edit in enumerate(edits)
    ]


def _resolve(
    served: ServedRelease, edit: steering.Edit, where: str, check_only: bool
) -> inference.LatentEdit:
    target, operation = edit.WhichOneof("target"), edit.WhichOneof("operation")
    if target is None:
        raise InvalidInput(
            "the edit has no target.",
            field=f"{where}.target",
            remedy="name a latent, a concept or a blend of them.",
        )
    if operation is None:
        raise InvalidInput(
            "the edit does not say what to do.",
            field=f"{where}.operation",
            remedy="use one of set, scale, add, ablate.",
        )
    strength = 0.0
    if operation != "ablate":
        strength = getattr(edit, operation)
        minimum = -MAX_STRENGTH if operation == "add" else 0.0
        check_strength(strength, field=f"{where}.{operation}", minimum=minimum)
    resolved = inference.LatentEdit(
        operation=_OPERATIONS[operation],
        strength=strength,
        unit=inference.STRENGTH_UNIT_SCORE_SPREAD,
    )
    if target == "latent":
        _add_latent(served, resolved, edit.latent, 1.0, f"{where}.latent")
    elif target == "concept_id":
        # What a concept sees is its own latents; what it is added with is what raises its items.
        own = check_only or operation != "add"
        _add_concept(served, resolved, edit.concept_id, 1.0, f"{where}.concept_id", own=own)
    else:
        if operation != "add":
            raise InvalidInput(
                f"a blend can be added, not {operation}.",
                field=f"{where}.operation",
                remedy="use add, or one edit for each target.",
            )
        _add_blend(served, resolved, edit.blend, f"{where}.blend", own=check_only)
    if edit.when:
        _add_conditions(served, resolved, edit.when, f"{where}.when")
    return resolved


def _add_latent(
    served: ServedRelease, edit: inference.LatentEdit, latent: int, share: float, where: str
) -> None:
    served.check_latent(latent, field=where)
    edit.groups.add(latents=(latent,), weights=(1.0,), share=share)


def _add_concept(
    served: ServedRelease,
    edit: inference.LatentEdit,
    concept_id: str,
    share: float,
    where: str,
    *,
    own: bool,
) -> None:
    push = served.pushes.own(concept_id, field=where) if own else served.pushes.known(concept_id)
    edit.groups.add(latents=push.latents, weights=push.weights, share=share)


def _add_blend(
    served: ServedRelease,
    edit: inference.LatentEdit,
    blend: steering.Blend,
    where: str,
    *,
    own: bool,
) -> None:
    if not 1 <= len(blend.parts) <= MAX_PARTS:
        raise InvalidInput(
            f"a blend of {len(blend.parts)} parts cannot be added.",
            field=f"{where}.parts",
            remedy=f"give 1 to {MAX_PARTS}.",
        )
    named: set[int | str] = set()
    for position, part in enumerate(blend.parts):
        here = f"{where}.parts[{position}]"
        check_strength(part.weight, field=f"{here}.weight")
        if part.weight == 0:
            raise InvalidInput(
                "a part of weight 0 is none.", field=f"{here}.weight", remedy="leave it out."
            )
        kind = part.WhichOneof("target")
        if kind is None:
            raise InvalidInput(
                "the part has no target.",
                field=f"{here}.target",
                remedy="name a latent or a concept.",
            )
        target: int | str = getattr(part, kind)
        if target in named:
            raise InvalidInput(
                f"the blend names {target!r} twice.",
                field=f"{here}.{kind}",
                remedy="name each target once.",
            )
        named.add(target)
        if kind == "latent":
            _add_latent(served, edit, part.latent, part.weight, f"{here}.latent")
        else:
            _add_concept(served, edit, part.concept_id, part.weight, f"{here}.concept_id", own=own)


def _add_conditions(
    served: ServedRelease,
    edit: inference.LatentEdit,
    conditions: Sequence[steering.Condition],
    where: str,
) -> None:
    if len(conditions) > MAX_CONDITIONS:
        raise InvalidInput(
            f"{len(conditions)} conditions are too many.",
            field=where,
            remedy=f"give at most {MAX_CONDITIONS}.",
        )
    for position, condition in enumerate(conditions):
        here = f"{where}[{position}]"
        comparison = condition.WhichOneof("comparison")
        if comparison is None:
            raise InvalidInput(
                "the condition does not say what must be so.",
                field=f"{here}.comparison",
                remedy="give a level that it is above or below.",
            )
        level: float = getattr(condition, comparison)
        if not (math.isfinite(level) and 0 <= level <= MAX_STRENGTH):
            raise InvalidInput(
                f"{level:g} is not a finite number within [0, {MAX_STRENGTH:g}].",
                field=f"{here}.{comparison}",
                remedy="levels are in units of the latent's 99th percentile.",
            )
        edit.conditions.add(
            latents=_looked_at(served, condition, here),
            comparison=_COMPARISONS[comparison],
            level=level,
        )


def _looked_at(served: ServedRelease, condition: steering.Condition, where: str) -> tuple[int, ...]:
    match condition.WhichOneof("target"):
        case "latent":
            served.check_latent(condition.latent, field=f"{where}.latent")
            return (condition.latent,)
        case "concept_id":
            concept = served.concepts.get(condition.concept_id, field=f"{where}.concept_id")
            return concept.latents
        case _:
            raise InvalidInput(
                "the condition has no target.",
                field=f"{where}.target",
                remedy="name a latent or a concept.",
            )
