"""What all contracts share: immutable, closed to unknown fields, canonical as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
    model_validator,
)

from reclens.errors import InvalidSpec

ADDED_LATER: Final = "added later"
"""Marks, in ``Annotated``, a field that came when there were artifacts already: at its default it
changes nothing, and is left out of the canonical form, so that their ids stay."""


class Contract(BaseModel):
    """A frozen value that refuses unknown fields.

    Field docstrings are the reference: the CLI help and JSON schema are generated from them.

    Ids are hashes of the canonical form, so it may never change for a value that was possible
    before: a new field is marked `ADDED_LATER`, and one that went is listed in ``RETIRED``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    RETIRED: ClassVar[Mapping[str, Any]] = {}
    """Fields that went, with the only value still taken. They stay in the canonical form."""

    @classmethod
    def parse(cls, payload: Any) -> Self:
        """Validate ``payload`` (a mapping or a JSON text).

        Raises:
            InvalidSpec: names every offending field by its dotted path.
        """
        try:
            if isinstance(payload, str | bytes):
                return cls.model_validate_json(payload)
            return cls.model_validate(payload)
        except ValidationError as error:
            problems = [
                (".".join(str(part) for part in item["loc"]) or "(whole)", item["msg"])
                for item in error.errors()
            ]
            first, *others = problems
            raise InvalidSpec(
                "; ".join([first[1], *(f"{where}: {what}" for where, what in others)]) + ".",
                field=first[0],
                remedy=f"see the fields of {cls.__name__} in docs/reference/jobs.md.",
            ) from error

    @model_validator(mode="before")
    @classmethod
    def _drop_retired(cls, value: Any) -> Any:
        if cls.RETIRED and isinstance(value, Mapping):
            return {
                name: given
                for name, given in value.items()  # pyright: ignore[reportUnknownVariableType]
                if name not in cls.RETIRED or given != cls.RETIRED[name]
            }
        return value

    @model_serializer(mode="wrap")
    def _keep_the_form(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = {**self.RETIRED, **handler(self)}
        for name, field in type(self).model_fields.items():
            if ADDED_LATER in field.metadata and getattr(self, name) == field.default:
                fields.pop(name, None)
        return fields

    def canonical(self) -> dict[str, Any]:
        """The value as plain JSON types, defaults included, so that ids do not depend on style."""
        return self.model_dump(mode="json")


class _NamedPath(str):
    """By which `data_paths` knows it."""

    __slots__ = ()


DataPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]+$"),
    AfterValidator(_NamedPath),
]
"""A field with the path of a file or folder that a worker reads. It takes those alone that lie
below the folders which the worker's operator lists (``RECLENS_DATA__ROOTS``)."""


def data_paths(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Every `DataPath` in ``value``, a specification or a part of one, with its dotted name."""
    if isinstance(value, _NamedPath):
        yield where, value
    elif isinstance(value, Mapping):
        for name, part in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from data_paths(part, f"{where}.{name}".lstrip("."))
    elif isinstance(value, BaseModel):
        yield from data_paths(dict(value), where)
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
            yield from data_paths(part, f"{where}[{index}]")


class Record(Contract):
    """A value that one part writes and others read, perhaps of an older version: they pass over
    fields that they do not know.

    So a new field may be added in a minor version, where those who do not read it go on as before.
    Specifications are no records: a field of theirs that is passed over would be another job.
    """

    model_config = ConfigDict(extra="ignore")


def canonical_json(value: Any) -> bytes:
    """Serialise with sorted keys and no white space: the bytes that are hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256_hex(data: bytes) -> str:
    """SHA-256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
