"""Policies as the store has them and as the API says them."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.contracts import PolicyConstraints, PolicyEdit, StoredPolicy
from reclens.contracts.policies import StoredMode
from reclens.errors import InvalidInput

_MODES: dict[int, StoredMode] = {
    pb.STEERING_MODE_UNSPECIFIED: "unspecified",
    pb.STEERING_MODE_RESIDUAL: "residual",
    pb.STEERING_MODE_RECONSTRUCT: "reconstruct",
}
_MODE_NUMBERS = {name: number for number, name in _MODES.items()}


def stored_edits(edits: list[pb.Edit]) -> tuple[PolicyEdit, ...]:
    """Edits that were checked, as the store has them."""
    return tuple(PolicyEdit.parse(_as_json(edit)) for edit in edits)


def stored_constraints(policy: pb.Policy) -> PolicyConstraints | None:
    """A policy's constraints, as the store has them; None where it has none."""
    if not policy.HasField("constraints"):
        return None
    return PolicyConstraints.parse(_as_json(policy.constraints))


def stored_mode(mode: int, *, field: str) -> StoredMode:
    """A mode, as the store has it.

    Raises:
        InvalidInput: there is no such mode.
    """
    if mode not in _MODES:
        raise InvalidInput(
            f"there is no mode {mode}.",
            field=field,
            remedy=f"use one of {', '.join(pb.SteeringMode.keys())}.",
        )
    return _MODES[mode]


def policy_message(stored: StoredPolicy) -> pb.Policy:
    """A stored version, as the API says it."""
    message = pb.Policy(
        policy_id=stored.policy_id,
        version=stored.version,
        description=stored.description,
        release=stored.release,
        mode=_MODE_NUMBERS[stored.mode],  # pyright: ignore[reportArgumentType]
        autoencoder=stored.autoencoder or "",
        author=stored.author,
        changed_at=stored.changed_at,
        comment=stored.comment,
        deleted=stored.deleted,
    )
    for edit in stored.edits:
        ParseDict(edit.model_dump(mode="json", exclude_none=True), message.edits.add())
    if stored.constraints is not None:
        ParseDict(stored.constraints.model_dump(mode="json"), message.constraints)
        message.constraints.SetInParent()
    return message


def _as_json(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)
