"""Specification of the evaluation of an autoencoder and its concepts."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from reclens.contracts.artifacts import ArtifactKind, ArtifactRef
from reclens.contracts.jobs.kinds import JobKind, JobSpec, QueueName, StageOptions, WorkerName


class EvaluationOptions(StageOptions):
    """What to measure, and on how much."""

    ks: tuple[int, ...] = Field(default=(5, 10, 20, 50), min_length=1)
    """Lengths of list at which hit rate and NDCG are measured."""
    overlap_at: int = Field(default=10, ge=1, le=1000)
    """Length of the lists whose overlap with the untouched list is measured."""
    interpretable: float = Field(default=0.8, ge=0, le=1)
    """A latent counts as interpretable when P of the published protocol is at least this."""
    n_examples: int = Field(default=6, ge=1, le=100)
    """Best-labelled latents, each with another label, whose activations are kept whole."""
    max_users: int = Field(default=4000, ge=1, le=10_000_000)
    """Held-out users whose lists are compared at most; test users first, then drawn by seed."""
    max_cases: int = Field(default=50_000, ge=100, le=10_000_000)
    """Cases read of each division of users at most."""
    seed: int = Field(default=0, ge=0)
    """Seed of draws, shuffles and bootstraps."""


class EvaluationSpec(EvaluationOptions, JobSpec):
    """Measure what an autoencoder keeps of its recommender and what its concepts are worth."""

    ALGORITHM: ClassVar[int] = 4

    autoencoder: ArtifactRef
    """Autoencoder to measure."""
    concepts: ArtifactRef
    """Its labelled latents."""
    retrained: ArtifactRef | None = None
    """The same autoencoder trained with another seed, whose directions it is compared with."""

    def input_refs(self) -> dict[str, str]:
        refs = {"autoencoder": self.autoencoder, "concepts": self.concepts}
        return refs if self.retrained is None else {**refs, "retrained": self.retrained}


AUTOENCODER_EVALUATE = JobKind(
    task="reclens.autoencoder.evaluate.v1",
    # It runs the recommender.
    queue=QueueName.CAPTURE,
    spec=EvaluationSpec,
    makes=ArtifactKind.EVALUATION,
    stage="reclens_recommender.stages.evaluate:run",
    owner=WorkerName.RECOMMENDER,
)
