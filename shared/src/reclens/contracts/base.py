"""What all contracts share: immutable, closed to unknown fields, canonical as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import ErrorDetails

from reclens.errors import InvalidSpec
from reclens.similar_names import SimilarNames

ADDED_LATER: Final = "added later"
"""Marks, in ``Annotated``, a field that came when there were artifacts already: at its default it
changes nothing, and is left out of the canonical form, so that their ids stay."""

# Problems that an error names, and characters of each.
_MAX_PROBLEMS, _MAX_TOLD = 20, 400


class Contract(BaseModel):
    """A frozen value that refuses unknown fields.

    Field docstrings are the reference: the CLI help and JSON schema are generated from them.

    Ids are hashes of the canonical form, so it may never change for a value that was possible
    before: a new field is marked `ADDED_LATER`, and one that went is listed in ``RETIRED``.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    RETIRED: ClassVar[Mapping[str, Any]] = {}
    """Fields that went, with the only value still taken. They stay in the canonical form."""

    @classmethod
    def parse(cls, payload: Any) -> Self:
        """Validate ``payload`` (a mapping or a JSON text).

        Raises:
            InvalidSpec: names the offending fields by their dotted paths, the first twenty of them.
        """
        try:
            if isinstance(payload, str | bytes):
                return cls.model_validate_json(payload)
            return cls.model_validate(payload)
        except ValidationError as error:
            problems = [
                (_clipped(".".join(map(str, item["loc"]))) or "(whole)", cls._problem(item))
                for item in error.errors(include_input=False, include_url=False)
            ]
            first, *others = problems[:_MAX_PROBLEMS]
            more = len(problems) - _MAX_PROBLEMS
            told = [first[1], *(f"{where}: {what}" for where, what in others)]
            raise InvalidSpec(
                "; ".join([*told, *([f"and {more} more"] if more > 0 else [])]) + ".",
                field=first[0],
                remedy=f"see the fields of {cls.__name__} in docs/reference/jobs.md.",
            ) from error

    @classmethod
    def _problem(cls, item: ErrorDetails) -> str:
        similar = _similar_fields(cls, item["loc"]) if item["type"] == "extra_forbidden" else []
        return _clipped(item["msg"]) + (f" (did you mean {', '.join(similar)}?)" if similar else "")

    @field_validator("*")
    @classmethod
    def _fits_64_bits(cls, value: Any) -> Any:
        # What computes with it has no larger numbers.
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise ValueError("a whole number has at most 64 bits")
        return value

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


def _similar_fields(model: type[BaseModel], where: tuple[int | str, ...]) -> list[str]:
    """Fields that there are, that are spelt like the one at ``where``, which there is not."""
    models = {model}
    for part in where[:-1]:
        # What is no field is a place in a list, a key, or the kind of one of several models.
        models = {
            inner
            for outer in models
            if (field := outer.model_fields.get(str(part))) is not None
            for inner in _models_in(field.annotation)
        } or models
    return SimilarNames(name for one in models for name in one.model_fields).of(str(where[-1]))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


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


def _clipped(text: str) -> str:
    """What is said of one problem: payloads are quoted in it, which may be of any length."""
    return text if len(text) <= _MAX_TOLD else f"{text[:_MAX_TOLD]} ..."


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
