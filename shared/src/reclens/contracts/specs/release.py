"""Releases: publish one, go back to an earlier version, keep one whatever else is published."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from reclens.contracts.artifacts import ArtifactRef
from reclens.contracts.base import Contract, canonical_json, sha256_hex
from reclens.contracts.jobs.kinds import JobKind, QueueName, WorkerName
from reclens.contracts.specs.dataset import Name

MAX_REASON = 1000
"""Characters of the reason of a change."""


def _check_moment(value: str) -> str:
    if datetime.fromisoformat(value).tzinfo is None:
        raise ValueError("expected a time with its zone, e.g. '2026-01-31T12:00:00+00:00'")
    return value


Moment = Annotated[str, AfterValidator(_check_moment)]
"""A time in ISO 8601, with its zone."""


class ReleaseSpec(Contract):
    """Point a release at a recommender, an autoencoder and its concepts."""

    name: Name = "default"
    """The name that serving watches."""
    recommender: ArtifactRef
    """Model that answers."""
    autoencoder: ArtifactRef
    """Dictionary trained on that model."""
    concepts: ArtifactRef
    """Labels of that dictionary."""
    expected: int | None = Field(default=None, ge=0)
    """Number of the version that this one is to follow, 0 where there is to be none; another one
    there is an error. None: whichever it is."""
    ordered_at: Moment | None = None
    """When this was asked for, UTC, ISO 8601. A version that was ordered later stands. None: when
    the job was submitted."""

    def version(self) -> str:
        """Hash of the three references, 16 hexadecimal digits."""
        parts = [self.recommender, self.autoencoder, self.concepts]
        return sha256_hex(canonical_json(parts))[:16]


RELEASE_PUBLISH = JobKind(
    task="reclens.release.publish.v1",
    queue=QueueName.PIPELINE,
    spec=ReleaseSpec,
    action="reclens_labeler.conductor:publish",
    owner=WorkerName.LABELER,
    writes=("releases/",),
)


class ReleaseAction(StrEnum):
    """What is done to a release."""

    ROLLBACK = "rollback"
    """Serve what an earlier version named."""
    PIN = "pin"
    """Keep what is served: what jobs publish under the name is refused."""
    UNPIN = "unpin"
    """Let jobs publish again."""


class ReleaseChangeSpec(Contract):
    """Go back to an earlier version of a release, or pin the newest."""

    name: Name = "default"
    """The name that serving watches."""
    action: ReleaseAction
    """``rollback``, ``pin`` or ``unpin``."""
    to: int | None = Field(default=None, ge=0)
    """Version to go back to. None: the last one before the newest that named other parts."""
    expected: int | None = Field(default=None, ge=0)
    """Number of the newest version, as it was when this was decided; another one there is an error.
    None: whichever it is."""
    author: str = Field(default="", max_length=128)
    """Who decided it."""
    reason: str = Field(default="", max_length=MAX_REASON)
    """Why; kept with the version."""


RELEASE_CHANGE = JobKind(
    task="reclens.release.change.v1",
    queue=QueueName.PIPELINE,
    spec=ReleaseChangeSpec,
    action="reclens_labeler.conductor:change_release",
    owner=WorkerName.LABELER,
    writes=("releases/",),
)
