"""Stored steering policies: entries of an append-only log, one log per policy.

Edits and constraints have the form of the public API's messages in JSON, under their proto names.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from reclens.contracts.artifacts import ArtifactRef
from reclens.contracts.base import Contract

POLICY_ID = r"^[a-z][a-z0-9-]{0,62}$"
"""What a policy's name looks like."""
MAX_POLICY_BYTES = 256 << 10
"""Size of one stored version, as JSON."""
MAX_TEXT = 1000
"""Characters of a description or comment."""

PolicyId = Annotated[str, Field(pattern=POLICY_ID)]
Latent = Annotated[int, Field(ge=0)]
StoredMode = Literal["unspecified", "residual", "reconstruct"]
Number = Annotated[float, Field(allow_inf_nan=False)]


class PolicyAblate(Contract):
    """Marks that a target is to be silenced."""


class _Target(Contract):
    """A latent or a concept, exactly one of them."""

    latent: Latent | None = None
    """A latent by its index."""
    concept_id: str | None = None
    """A concept by its id."""


class PolicyBlendPart(_Target):
    """A target's share of a blend."""

    weight: Number = 0.0
    """How far, relative to the other parts."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        _exactly_one(self, ("latent", "concept_id"))
        return self


class PolicyBlend(Contract):
    """Targets pushed together, as one direction."""

    parts: tuple[PolicyBlendPart, ...] = Field(min_length=1)
    """The targets."""


class PolicyCondition(_Target):
    """A test of one untouched activation, in units of the latent's 99th percentile."""

    above: Number | None = None
    """It is above this level."""
    below: Number | None = None
    """It is below this level."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        _exactly_one(self, ("latent", "concept_id"))
        _exactly_one(self, ("above", "below"))
        return self


class PolicyEdit(_Target):
    """One change of what the recommender sees in the user."""

    blend: PolicyBlend | None = None
    """Several latents and concepts as one direction."""
    set: Number | None = None
    """Set the activation to this many times the latent's 99th percentile."""
    scale: Number | None = None
    """Multiply the activation."""
    add: Number | None = None
    """Add, in units of the target."""
    ablate: PolicyAblate | None = None
    """Silence it."""
    when: tuple[PolicyCondition, ...] = ()
    """Conditions that must all hold."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        _exactly_one(self, ("latent", "concept_id", "blend"))
        _exactly_one(self, ("set", "scale", "add", "ablate"))
        return self


class PolicyTagLimit(Contract):
    """A cap on items that carry a tag."""

    tag: str = ""
    """A tag as items have it."""
    max_items: int = Field(default=0, ge=0)
    """Most items of the answer that may carry it."""


class PolicyConstraints(Contract):
    """What may be in an answer."""

    exclude_item_ids: tuple[str, ...] = ()
    """Never these items."""
    tag_limits: tuple[PolicyTagLimit, ...] = ()
    """At most so many items of a category."""


class StoredPolicy(Contract):
    """One version of a policy, whole: no other version is needed to read it."""

    policy_id: PolicyId
    """Its name."""
    version: int = Field(ge=1)
    """Number of this version, from 1."""
    description: str = Field(default="", max_length=MAX_TEXT)
    """What it is for."""
    release: str = ""
    """Release that it was checked against; empty where it is deleted."""
    edits: tuple[PolicyEdit, ...] = ()
    """Changes, applied together."""
    mode: StoredMode = "unspecified"
    """How edits are written back."""
    constraints: PolicyConstraints | None = None
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


def _exactly_one(value: Contract, names: tuple[str, ...]) -> None:
    given = [name for name in names if getattr(value, name) is not None]
    if len(given) != 1:
        raise ValueError(f"give exactly one of {', '.join(names)}")
