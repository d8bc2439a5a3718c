"""Stored steering policies: entries of an append-only log, one log per policy.

Edits and constraints are the public API's messages, and are stored as proto JSON under their proto
names.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message
from pydantic import FailFast, Field, PlainSerializer, PlainValidator, model_validator

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.contracts.artifacts import ArtifactRef
from reclens.contracts.base import Contract
from reclens.steering.limits import MAX_TEXT

M = TypeVar("M", bound=Message)

POLICY_ID = r"^[a-z][a-z0-9-]{0,62}$"
"""What a policy's name looks like."""
_MODE_PREFIX = "STEERING_MODE_"


def _read_edit(value: Any) -> pb.Edit:
    edit = _read_message(value, pb.Edit())
    _check_complete(edit)
    if edit.HasField("blend") and not edit.blend.parts:
        raise ValueError("a blend needs at least one part")
    return edit


def _read_constraints(value: Any) -> pb.Constraints:
    return _read_message(value, pb.Constraints())


def _read_message(value: Any, message: M) -> M:
    if isinstance(value, type(message)):
        return value
    try:
        return ParseDict(value, message)
    except (ParseError, TypeError, AttributeError) as error:
        raise ValueError(" ".join(str(error).split()).rstrip(".")) from error


def _check_complete(message: Message) -> None:
    """Refuse a choice that is not made, and numbers that are not finite."""
    for choice in message.DESCRIPTOR.oneofs:
        if message.WhichOneof(choice.name) is None:
            names = ", ".join(field.name for field in choice.fields)
            raise ValueError(f"give exactly one of {names}")
    for field, value in message.ListFields():
        for one in value if field.is_repeated else (value,):
            if isinstance(one, Message):
                _check_complete(one)
            elif isinstance(one, float) and not math.isfinite(one):
                raise ValueError(f"{field.name} is not a finite number")


def _as_json(message: Message) -> dict[str, Any]:
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


StoredEdit = Annotated[pb.Edit, PlainValidator(_read_edit), PlainSerializer(_as_json)]
StoredConstraints = Annotated[
    pb.Constraints, PlainValidator(_read_constraints), PlainSerializer(_as_json)
]


class StoredPolicy(Contract):
    """One version of a policy, whole: no other version is needed to read it."""

    policy_id: Annotated[str, Field(pattern=POLICY_ID)]
    """Its name."""
    version: int = Field(ge=1)
    """Number of this version, from 1."""
    description: str = Field(default="", max_length=MAX_TEXT)
    """What it is for."""
    release: str = ""
    """Release that it was checked against; empty where it is deleted."""
    edits: Annotated[tuple[StoredEdit, ...], FailFast()] = ()
    """Changes, applied together."""
    mode: Literal["unspecified", "residual", "reconstruct"] = "unspecified"
    """How edits are written back."""
    constraints: StoredConstraints | None = None
    """What may be in answers."""
    autoencoder: ArtifactRef | None = None
    """Autoencoder that it was checked against; None where it is deleted."""
    author: str = ""
    """Who wrote this version, by the credentials of the call; empty where none were asked for."""
    changed_at: str
    """UTC, ISO 8601."""
    comment: str = Field(default="", max_length=MAX_TEXT)
    """Why, as its author says."""
    request_id: str = ""
    """Id of the request that wrote it, as in the logs."""
    deleted: bool = False
    """Whether this version deletes the policy."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.deleted and not (self.release and self.autoencoder):
            raise ValueError("give the release and the autoencoder that it was checked against")
        return self

    def canonical(self) -> dict[str, Any]:
        """As plain JSON types; what is not given is left out, as the API's JSON leaves it out."""
        return self.model_dump(mode="json", exclude_none=True)

    @classmethod
    def of(cls, policy: pb.Policy, **stamp: Any) -> Self:
        """What is to be stored of a policy that was checked.

        Args:
            policy: as its author sent it.
            stamp: what the service sets: ``release``, ``autoencoder``, ``author``, ``changed_at``
                and ``request_id``. The version is set where it is stored.
        """
        return cls(
            policy_id=policy.policy_id,
            version=1,
            description=policy.description,
            edits=tuple(policy.edits),
            mode=pb.SteeringMode.Name(policy.mode).removeprefix(_MODE_PREFIX).lower(),  # pyright: ignore[reportArgumentType]
            constraints=policy.constraints if policy.HasField("constraints") else None,
            comment=policy.comment,
            **stamp,
        )

    def message(self) -> pb.Policy:
        """This version, as the API says it."""
        names = pb.Policy.DESCRIPTOR.fields_by_name
        fields: dict[str, Any] = {name: getattr(self, name) for name in names}
        fields["mode"] = _MODE_PREFIX + self.mode.upper()
        return pb.Policy(**fields)
