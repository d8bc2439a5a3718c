"""Artifacts: immutable, named by what made them, committed by their manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Final, NamedTuple, Self, cast

from pydantic import AfterValidator, BeforeValidator, FailFast, Field, model_validator

from reclens.contracts.base import ADDED_LATER, Record
from reclens.errors import InvalidInput, VersionMismatch


class ArtifactKind(StrEnum):
    """Kinds of artifact; each is a folder of the bucket."""

    DATASET = "datasets"
    RECOMMENDER = "recommenders"
    ACTIVATIONS = "activations"
    AUTOENCODER = "autoencoders"
    CONCEPTS = "concepts"
    CONCEPT_SHARDS = "concept-shards"
    EVALUATION = "evaluations"


_REF = re.compile(rf"^({'|'.join(ArtifactKind)})/([0-9a-f]{{16}})$")


def _check_ref(value: str) -> str:
    if not _REF.match(value):
        raise ValueError("expected 'kind/id', e.g. 'autoencoders/0123456789abcdef'")
    return value


ArtifactRef = Annotated[str, AfterValidator(_check_ref)]
"""``kind/id``: the kind's folder and 16 hexadecimal digits."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, 64 hexadecimal digits in lower case."""

_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
ObjectName = Annotated[str, Field(max_length=200, pattern=rf"^{_PART}(/{_PART})*$")]
"""Parts of letters, digits, dot, dash and underscore, none of which begins with a dot or a dash,
joined by slashes: it names a file below any folder, and none outside."""
_ATTEMPT = r"^([0-9a-f]{16})?$"


class SplitRef(NamedTuple):
    """A reference taken apart."""

    kind: ArtifactKind
    artifact_id: str


def split_ref(ref: str) -> SplitRef:
    """Take ``kind/id`` apart.

    Raises:
        InvalidInput: the text is not a reference.
    """
    match = _REF.match(ref)
    if match is None:
        raise InvalidInput(
            f"{ref!r} is not an artifact reference.",
            field="artifact",
            remedy="write kind/id as `reclens artifacts list` shows it.",
        )
    return SplitRef(ArtifactKind(match[1]), match[2])


def object_key(ref: str, attempt: str, name: str) -> str:
    """Where an attempt to make the artifact ``ref`` puts its object ``name``."""
    return f"{ref}/{attempt}/{name}" if attempt else f"{ref}/{name}"


class ObjectEntry(Record):
    """One object of an artifact."""

    name: ObjectName
    """What readers call it, e.g. ``shard-00000.parquet``."""
    size: int = Field(ge=0)
    """Bytes."""
    sha256: Sha256
    """SHA-256 of the bytes, hexadecimal."""
    attempt: Annotated[str, ADDED_LATER] = Field(default="", pattern=_ATTEMPT)
    """Folder of the attempt that uploaded it, where the manifest's went on after another one that
    was interrupted. Empty: the manifest's own."""


class InputEntry(Record):
    """One input of an artifact, pinned by its manifest."""

    artifact: ArtifactRef
    """The artifact that was read."""
    manifest_sha256: Sha256
    """SHA-256 of that artifact's ``manifest.json``."""


def _few(value: Any) -> Any:
    # An error for each of a million entries takes a gigabyte; of lists `FailFast` tells the first.
    if isinstance(value, Mapping) and len(cast("Any", value)) > _MAX_NAMED:
        raise ValueError(f"more than {_MAX_NAMED} entries")
    return value  # pyright: ignore[reportUnknownVariableType] - whatever was given


_MAX_NAMED: Final = 1000
MANIFEST_VERSION: Final = 1
"""Of the manifests that are written, and the newest that can be read."""


class Manifest(Record):
    """The commit of an artifact: it is written last, and without it the artifact does not exist."""

    manifest_version: int = MANIFEST_VERSION
    """Version of this layout. It is raised where those who know the one before would misread it;
    fields that they can do without come without that."""
    artifact: ArtifactRef
    """Its own reference."""
    task: str
    """Name of the task that made it."""
    spec: dict[str, Any]
    """The canonical job specification, which its id is the hash of."""
    inputs: Annotated[dict[str, InputEntry], BeforeValidator(_few)]
    """Artifacts read, by role (``dataset``, ``recommender``, ...)."""
    objects: Annotated[list[ObjectEntry], FailFast()]
    """Every object with size and checksum."""
    attempt: Annotated[str, ADDED_LATER] = Field(default="", pattern=_ATTEMPT)
    """Folder of the objects below the artifact's: each attempt to make it writes to one of its own.
    Empty: they lie in the artifact's folder itself, as before there were attempts."""
    metrics: dict[str, Any]
    """What was measured while it was made. JSON types only."""
    versions: Annotated[dict[str, str], BeforeValidator(_few)]
    """Versions of RecLens, Python and the libraries that shaped the bytes."""
    created_at: str
    """UTC, ISO 8601."""
    seconds: float
    """Wall time of making it, over all segments."""
    peak_memory_bytes: int | None = None
    """Highest resident memory of the worker's process meanwhile; None: not measured."""
    devices: Annotated[list[str], FailFast()] = Field(default_factory=list)
    """What torch computed on, e.g. ``cpu`` or ``cuda:0 (NVIDIA H100)``, in order of first use. More
    than one: the run went on elsewhere. Empty: no model was run."""

    @model_validator(mode="before")
    @classmethod
    def _is_not_newer(cls, value: Any) -> Any:
        given: Mapping[str, Any] = cast("Any", value) if isinstance(value, Mapping) else {}
        found = given.get("manifest_version")
        if isinstance(found, int) and found > MANIFEST_VERSION:
            raise VersionMismatch(
                f"{given.get('artifact')} was written by a newer RecLens: its manifest has version "
                f"{found}, and this part knows {MANIFEST_VERSION}.",
                field="manifest_version",
                remedy="upgrade this part, see docs/how-to/upgrading.md.",
            )
        return value  # pyright: ignore[reportUnknownVariableType] - whatever was given

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        # As on a file system that does not tell cases apart.
        names = {entry.name.lower() for entry in self.objects}
        if len(names) < len(self.objects):
            raise ValueError("two objects have the same name")
        return self

    def key(self, name: str) -> str:
        """Where the object called ``name`` lies in the store."""
        return object_key(self.artifact, self.folder_of.get(name, self.attempt), name)

    @cached_property
    def folder_of(self) -> dict[str, str]:
        """The attempt that uploaded each object, by the object's name."""
        return {entry.name: entry.attempt or self.attempt for entry in self.objects}

    def object(self, name: str) -> ObjectEntry:
        """The entry called ``name``.

        Raises:
            InvalidInput: there is none.
        """
        for entry in self.objects:
            if entry.name == name:
                return entry
        raise InvalidInput(
            f"{self.artifact} has no object {name!r}.",
            field="name",
            remedy=f"it has {', '.join(e.name for e in self.objects)}.",
        )


class Release(Record):
    """A version of a release: the three artifacts that serving answers from under its name."""

    name: str
    """Name of the release, e.g. ``demo``."""
    version: str
    """Hash of the three references: the same parts have the same version."""
    recommender: ArtifactRef
    """Model that answers."""
    autoencoder: ArtifactRef
    """Dictionary of latents on that model's probe site."""
    concepts: ArtifactRef
    """Labels of those latents."""
    published_at: str
    """UTC, ISO 8601."""
    number: int = Field(default=0, ge=0)
    """Its place among the versions of that name, from 1. 0: of before versions were kept."""
    ordered_at: str = ""
    """When it was asked for, UTC, ISO 8601: what was ordered before it is not published over it.
    Empty: when it was published."""
    pinned: bool = False
    """Whether it is to stay, whatever else is published."""
    author: str = ""
    """Who went back to it, or pinned it; empty where a job published it."""
    reason: str = ""
    """Why, in that person's words."""
