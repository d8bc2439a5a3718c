"""What people change of a dictionary's concepts: entries of an append-only log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import FailFast, Field, model_validator

from reclens.contracts.artifacts import ArtifactKind, ArtifactRef
from reclens.contracts.base import Contract, canonical_json, sha256_hex
from reclens.contracts.jobs.kinds import JobKind, JobSpec, QueueName, WorkerName

Latent = Annotated[int, Field(ge=0, lt=1 << 31)]
Line = Annotated[str, Field(min_length=1, max_length=120)]
CorrectionOperation = Literal["rename", "merge", "reject", "restore"]
"""``rename``: give the latents a name. ``merge``: make one concept of several and name it.
``reject``: take the label away. ``restore``: give back what the machine says."""


class ConceptCorrection(Contract):
    """One correction. It belongs to latents: concept ids change when they are labelled again."""

    operation: CorrectionOperation
    """What is done to the concept."""
    concept_id: str
    """Concept that was corrected, as its id was then."""
    was: str
    """Label that it had then."""
    latents: Annotated[tuple[Latent, ...], FailFast()] = Field(min_length=1)
    """Latents that carried it then; for ``merge`` those of all concepts joined. Rising."""
    name: Line | None = None
    """Label to give, for ``rename`` and ``merge``."""
    description: str | None = Field(default=None, min_length=1, max_length=400)
    """Sentence to give with it."""
    author: Line
    """Who made the correction."""
    reason: str = Field(default="", max_length=400)
    """Why it was made."""
    at: str
    """When it was made, UTC, ISO 8601."""

    @model_validator(mode="after")
    def _named_where_it_names(self) -> Self:
        names = self.operation in {"rename", "merge"}
        if names != (self.name is not None) or (self.description is not None and not names):
            raise ValueError(
                f"give a name where one is given: rename or merge, not {self.operation}"
            )
        if list(self.latents) != sorted(set(self.latents)):
            raise ValueError("latents must rise, each once")
        return self

    @property
    def in_words(self) -> str:
        """What is done, e.g. ``rename 'Dark' to 'Film noir'``."""
        return f"{self.operation} {self.was!r}" + (f" to {self.name!r}" if self.name else "")


def corrections_hash(corrections: Sequence[ConceptCorrection]) -> str:
    """SHA-256 of the corrections in their order, 64 hexadecimal digits."""
    return sha256_hex(canonical_json([correction.canonical() for correction in corrections]))


class ConceptCorrectionsSpec(JobSpec):
    """Apply people's corrections to machine-made concepts."""

    ALGORITHM: ClassVar[int] = 3

    concepts: ArtifactRef
    """Labels as the machine made them."""
    n_edits: int = Field(ge=1)
    """Entries of the log of their autoencoder that are applied: the first so many."""
    edits_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash of these entries."""

    @classmethod
    def of(cls, concepts: str, corrections: Sequence[ConceptCorrection]) -> ConceptCorrectionsSpec:
        """The job that applies ``corrections``, a log from its beginning, to ``concepts``."""
        return cls(
            concepts=concepts, n_edits=len(corrections), edits_sha256=corrections_hash(corrections)
        )

    def input_refs(self) -> dict[str, str]:
        return {"concepts": self.concepts}


CONCEPTS_EDIT = JobKind(
    task="reclens.concepts.edit.v1",
    queue=QueueName.LABEL,
    spec=ConceptCorrectionsSpec,
    makes=ArtifactKind.CONCEPTS,
    stage="reclens_labeler.stages.correct:run",
    owner=WorkerName.LABELER,
)
