"""Edits on the wire: the one module that converts between the protos' edits and the engine's.

An edit has three forms. Callers send `steering.v1.Edit`, which may name concepts; its proto JSON is
what policies store. The engine applies `LatentEdit`, which names latents alone. The gateway sends
the inference service `inference.v1.LatentEdit`, the engine's edit as a message.

- `resolve_edits`: `steering.v1.Edit` to `LatentEdit`;
- `add_latent_edits`: `LatentEdit` to `inference.v1.LatentEdit`;
- `read_latent_edits`: `inference.v1.LatentEdit` to `LatentEdit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.errors import InvalidInput
from reclens.steering.edits import (
    Comparison,
    LatentCondition,
    LatentEdit,
    LatentGroup,
    Mode,
    Operation,
    Unit,
)
from reclens.steering.limits import MAX_BLEND_PARTS, MAX_CONDITIONS, MAX_EDITS, check_count

E = TypeVar("E", bound=StrEnum)

_KEPT_EDITS = 4096
_LONGEST_KEPT = 4096
"""Bytes of a message beyond which an edit is not kept: callers could fill the memory with them."""


class ConceptLatents(Protocol):
    """What edits that name concepts are resolved with, see `ConceptPushes`."""

    n_latents: int
    """Latents of the dictionary."""

    def own(self, concept_id: str, *, field: str) -> LatentGroup:
        """The latents that carry a concept. Raises NotFound, naming the field."""
        ...

    def pushed(self, concept_id: str) -> LatentGroup:
        """The latents that adding a concept pushes."""
        ...


# --- what public edits name ----------------------------------------------------------------------


def targets(edit: steering.Edit) -> Sequence[steering.Edit | steering.BlendPart]:
    """What an edit changes: itself where it names one latent or concept, else its blend's parts."""
    return edit.blend.parts if edit.HasField("blend") else (edit,)


def named_concepts(edits: Iterable[steering.Edit]) -> list[str]:
    """Concepts that edits change, in order, each once."""
    named = (one.concept_id for edit in edits for one in targets(edit))
    return list(dict.fromkeys(filter(None, named)))


def names_latents(edits: Iterable[steering.Edit]) -> bool:
    """Whether edits or their conditions name latents by their index."""
    return any(
        one.WhichOneof("target") == "latent"
        for edit in edits
        for one in (*targets(edit), *edit.when)
    )


# --- public edits to the engine's ----------------------------------------------------------------


def resolve_edits(
    edits: Sequence[steering.Edit],
    concepts: ConceptLatents,
    *,
    field: str = "edits",
    check_only: bool = False,
) -> list[LatentEdit]:
    """Each edit as one edit of latents, in the same order.

    Args:
        edits: as callers write them.
        concepts: what the release knows of its concepts.
        field: name of their field, for errors.
        check_only: whether only errors are wanted. Else the pushes of the concepts that are added
            must have been learnt, see `ConceptPushes`.

    Raises:
        InvalidInput: too many, a latent out of range, no target or operation, a bad strength,
            weight or level, a blend that is not added.
        NotFound: an unknown concept.
    """
    check_count(len(edits), MAX_EDITS, "edits", field=field)
    return [
        _resolve(edit, concepts, f"{field}[{index}]", check_only)
        for index, edit in enumerate(edits)
    ]


def _resolve(
    edit: steering.Edit, concepts: ConceptLatents, where: str, check_only: bool
) -> LatentEdit:
    target = _chosen(edit, "target", where)
    operation = _chosen(edit, "operation", where)
    # What a concept sees is its own latents; what it is added with is what raises its items.
    pushed = operation == "add" and not check_only
    if target != "blend":
        groups = (_group(edit, concepts, where, pushed),)
    elif operation == "add":
        groups = _blend(edit.blend, concepts, f"{where}.blend", pushed)
    else:
        raise InvalidInput(
            f"a blend can be added, not {operation}.",
            field=f"{where}.operation",
            remedy="use add, or one edit for each target.",
        )
    strength = 0.0 if operation == "ablate" else getattr(edit, operation)
    conditions = _conditions(edit.when, concepts, f"{where}.when") if edit.when else ()
    with _within(where, strength=operation, conditions="when"):
        return LatentEdit(groups, Operation(operation), strength, Unit.SCORE_SPREAD, conditions)


def _chosen(message: Message, choice: str, where: str) -> str:
    """Which of several fields is set, of which one must be."""
    chosen = message.WhichOneof(choice)
    if chosen is None:
        names = ", ".join(field.name for field in message.DESCRIPTOR.oneofs_by_name[choice].fields)
        raise InvalidInput(
            f"the {_WORDS.get(message.DESCRIPTOR.name, 'edit')} {_LACKS[choice]}.",
            field=f"{where}.{choice}",
            remedy=f"give one of {names}.",
        )
    return chosen


_WORDS = {"BlendPart": "part", "Condition": "condition"}
_LACKS = {
    "target": "has no target",
    "operation": "does not say what to do",
    "comparison": "does not say what must be so",
}


def _group(
    target: steering.Edit | steering.BlendPart | steering.Condition,
    concepts: ConceptLatents,
    where: str,
    pushed: bool,
) -> LatentGroup:
    named = _chosen(target, "target", where)
    if named == "concept_id" and pushed:
        return concepts.pushed(target.concept_id)
    if named == "concept_id":
        return concepts.own(target.concept_id, field=f"{where}.concept_id")
    if target.latent >= concepts.n_latents:
        raise InvalidInput(
            f"latent {target.latent} does not exist.",
            field=f"{where}.latent",
            remedy=f"this release has latents 0 to {concepts.n_latents - 1}.",
        )
    return LatentGroup((target.latent,), (1.0,))


def _blend(
    blend: steering.Blend, concepts: ConceptLatents, where: str, pushed: bool
) -> tuple[LatentGroup, ...]:
    check_count(len(blend.parts), MAX_BLEND_PARTS, "parts", field=f"{where}.parts", least=1)
    named: set[int | str] = set()
    groups: list[LatentGroup] = []
    for position, part in enumerate(blend.parts):
        here = f"{where}.parts[{position}]"
        if part.weight == 0:
            raise InvalidInput(
                "a part with weight 0 adds nothing to the blend.",
                field=f"{here}.weight",
                remedy="leave it out.",
            )
        group = _group(part, concepts, here, pushed)
        kind = part.WhichOneof("target") or ""
        target: int | str = getattr(part, kind)
        if target in named:
            raise InvalidInput(
                f"the blend names {target!r} twice.",
                field=f"{here}.{kind}",
                remedy="name each target once.",
            )
        named.add(target)
        with _within(here, share="weight"):
            groups.append(replace(group, share=part.weight))
    return tuple(groups)


def _conditions(
    conditions: Sequence[steering.Condition], concepts: ConceptLatents, where: str
) -> tuple[LatentCondition, ...]:
    check_count(len(conditions), MAX_CONDITIONS, "conditions", field=where)
    found: list[LatentCondition] = []
    for position, condition in enumerate(conditions):
        here = f"{where}[{position}]"
        comparison = _chosen(condition, "comparison", here)
        latents = _group(condition, concepts, here, pushed=False).latents
        level: float = getattr(condition, comparison)
        with _within(here, level=comparison):
            found.append(LatentCondition(latents, Comparison(comparison), level))
    return tuple(found)


# --- the engine's edits to messages of the inference service, and back ---------------------------


def _by_number(enum: type[E], proto: Any, prefix: str) -> dict[int, E]:
    """The engine's values by the protos' numbers; names agree but for a prefix."""
    return {proto.Value(f"{prefix}_{one.name}"): one for one in enum}


_OPERATIONS = _by_number(Operation, inference.EditOperation, "EDIT_OPERATION")
_COMPARISONS = _by_number(Comparison, inference.Comparison, "COMPARISON")
_UNITS = _by_number(Unit, inference.StrengthUnit, "STRENGTH_UNIT")
_MODES = _by_number(Mode, inference.SteeringMode, "STEERING_MODE")
_NUMBERS: dict[StrEnum, Any] = {
    one: number
    for numbers in (_OPERATIONS, _COMPARISONS, _UNITS, _MODES)
    for number, one in numbers.items()
}
_UNITS[inference.STRENGTH_UNIT_UNSPECIFIED] = Unit.P99
_MODES[inference.STEERING_MODE_UNSPECIFIED] = Mode.RESIDUAL


def add_latent_edits(edits: Iterable[LatentEdit], out: Any) -> None:
    """Append edits as the inference service is sent them.

    Args:
        edits: the engine's.
        out: a repeated field of `inference.LatentEdit`, written in place, as copies take time.
    """
    for edit in edits:
        message = out.add(
            operation=_NUMBERS[edit.operation], strength=edit.strength, unit=_NUMBERS[edit.unit]
        )
        for group in edit.groups:
            message.groups.add(latents=group.latents, weights=group.weights, share=group.share)
        for condition in edit.conditions:
            message.conditions.add(
                latents=condition.latents,
                comparison=_NUMBERS[condition.comparison],
                level=condition.level,
            )


def read_latent_edits(
    edits: Sequence[inference.LatentEdit], *, field: str
) -> tuple[LatentEdit, ...]:
    """The edits that the inference service was sent.

    Raises:
        InvalidInput: too many, or one that is not well-formed; names the field.
    """
    check_count(len(edits), MAX_EDITS, "edits", field=field)
    found: list[LatentEdit] = []
    for index, edit in enumerate(edits):
        message = edit.SerializeToString()
        with _within(f"{field}[{index}]"):
            found.append((_kept_edit if len(message) <= _LONGEST_KEPT else _read)(message))
    return tuple(found)


def _read(message: bytes) -> LatentEdit:
    edit = inference.LatentEdit.FromString(message)
    operation, unit = _OPERATIONS.get(edit.operation), _UNITS.get(edit.unit)
    if operation is None or unit is None:
        raise InvalidInput(
            "the edit does not say what to do.",
            field="operation",
            remedy="use SET, SCALE, ADD or ABLATE, and a unit of the enum.",
        )
    groups: list[LatentGroup] = []
    for place, group in enumerate(edit.groups):
        with _within(f"groups[{place}]"):
            groups.append(LatentGroup(tuple(group.latents), tuple(group.weights), group.share))
    conditions: list[LatentCondition] = []
    for place, condition in enumerate(edit.conditions):
        with _within(f"conditions[{place}]"):
            conditions.append(_read_condition(condition))
    return LatentEdit(tuple(groups), operation, edit.strength, unit, tuple(conditions))


_kept_edit = lru_cache(_KEPT_EDITS)(_read)
"""The same edits come again and again, and are checked once."""


def _read_condition(condition: inference.LatentCondition) -> LatentCondition:
    comparison = _COMPARISONS.get(condition.comparison)
    if comparison is None:
        raise InvalidInput(
            "the condition does not say what must be so.",
            field="comparison",
            remedy="use ABOVE or BELOW.",
        )
    return LatentCondition(tuple(condition.latents), comparison, condition.level)


@contextmanager
def _within(where: str, **renamed: str) -> Iterator[None]:
    """Let errors name their field as a part of ``where``, and by the name that it has there."""
    try:
        yield
    except InvalidInput as error:
        field = f"{where}.{renamed.get(error.field, error.field)}"
        raise InvalidInput(error.message, field=field, remedy=error.remedy) from error


def read_mode(number: int, *, field: str = "mode") -> Mode:
    """The mode of a request to either service: their enums have the same numbers.

    Raises:
        InvalidInput: there is no such mode.
    """
    if number not in _MODES:
        raise InvalidInput(
            f"there is no mode {number}.",
            field=field,
            remedy=f"use one of {', '.join(steering.SteeringMode.keys())}.",
        )
    return _MODES[number]


def mode_number(mode: Mode) -> inference.SteeringMode:
    """The mode as the inference service is sent it."""
    return _NUMBERS[mode]
