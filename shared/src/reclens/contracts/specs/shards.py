"""Shards of a labelling: ranges of latents that are labelled by one message each."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from reclens.contracts.artifacts import ArtifactKind
from reclens.contracts.jobs.names import TaskName
from reclens.contracts.specs.concepts import ConceptsSpec
from reclens.errors import InvalidSpec

MAX_SHARDS = 4096
"""Shards of one labelling at most: each is a message, and a line of the job's view."""


class ConceptShardSpec(ConceptsSpec):
    """Label one range of latents. A labelling sends these itself."""

    TASK: ClassVar[TaskName] = TaskName.CONCEPTS_SHARD
    KIND: ClassVar[ArtifactKind] = ArtifactKind.CONCEPT_SHARDS

    first: int = Field(ge=0)
    """First latent of the range."""
    stop: int = Field(ge=1)
    """The latent after its last one."""

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.stop <= self.first:
            raise ValueError(f"stop {self.stop} must be above first {self.first}")
        return self

    @property
    def latents(self) -> range:
        """The latents to label."""
        return range(self.first, self.stop)

    def labelling(self) -> ConceptsSpec:
        """The specification that this is a part of."""
        return ConceptsSpec(**{name: getattr(self, name) for name in ConceptsSpec.model_fields})

    @classmethod
    def of(cls, spec: ConceptsSpec, n_latents: int) -> list[Self]:
        """The shards that make up a labelling, in order.

        Args:
            spec: of the labelling.
            n_latents: of the dictionary.

        Raises:
            InvalidSpec: there would be too many.
        """
        size = spec.shard_latents
        n_shards = -(-n_latents // size)
        if n_shards > MAX_SHARDS:
            raise InvalidSpec(
                f"{n_latents} latents make {n_shards} shards of {size}, at most {MAX_SHARDS} are "
                "possible.",
                field="shard_latents",
                remedy=f"take at least {-(-n_latents // MAX_SHARDS)}.",
            )
        fields: dict[str, Any] = {name: getattr(spec, name) for name in ConceptsSpec.model_fields}
        return [
            cls(**fields, first=first, stop=min(first + size, n_latents))
            for first in range(0, n_latents, size)
        ]
