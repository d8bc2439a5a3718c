"""A pipeline: all stages from raw data to a release in one specification. And that release: the one
mutable name, pointed at three artifacts."""

from __future__ import annotations

from typing import Any

from reclens.contracts.artifacts import ArtifactRef
from reclens.contracts.base import Contract, canonical_json, sha256_hex
from reclens.contracts.jobs.kinds import JobKind, QueueName, WorkerName
from reclens.contracts.specs.activations import CaptureOptions, CaptureSpec
from reclens.contracts.specs.autoencoder import AutoencoderOptions, AutoencoderSpec
from reclens.contracts.specs.concepts import ConceptsOptions, ConceptsSpec
from reclens.contracts.specs.dataset import DatasetSpec, Name
from reclens.contracts.specs.recommender import RecommenderOptions, RecommenderSpec


class ReleaseSpec(Contract):
    """Point a release at a recommender, an autoencoder and its concepts."""

    name: Name = "default"
    """The mutable name that serving watches."""
    recommender: ArtifactRef
    """Model that answers."""
    autoencoder: ArtifactRef
    """Dictionary trained on that model."""
    concepts: ArtifactRef
    """Labels of that dictionary."""

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


class Stage(Contract):
    """One planned job of a pipeline."""

    name: str
    """``dataset``, ``recommender``, ``activations``, ``autoencoder``, ``concepts``, ``release``."""
    task: str
    """Task that runs it."""
    spec: dict[str, Any]
    """Its full specification, inputs filled in."""
    artifact: str
    """What it will make: ``kind/id``, or ``releases/name``."""


class PipelineSpec(Contract):
    """Raw data to a served release, in one job."""

    release: Name = "default"
    """Release to publish at the end."""
    dataset: DatasetSpec = DatasetSpec()
    """Data to import."""
    recommender: RecommenderOptions = RecommenderOptions()
    """Model to train."""
    activations: CaptureOptions = CaptureOptions()
    """What to capture."""
    autoencoder: AutoencoderOptions = AutoencoderOptions()
    """Dictionary to train."""
    concepts: ConceptsOptions = ConceptsOptions()
    """How to label it."""

    def plan(self) -> list[Stage]:
        """Fill in the references: every stage's specification and artifact, in order."""
        dataset = self.dataset
        recommender = RecommenderSpec(dataset=dataset.artifact_ref(), **_fields(self.recommender))
        activations = CaptureSpec(
            recommender=recommender.artifact_ref(), **_fields(self.activations)
        )
        autoencoder = AutoencoderSpec(
            activations=activations.artifact_ref(), **_fields(self.autoencoder)
        )
        concepts = ConceptsSpec(
            autoencoder=autoencoder.artifact_ref(),
            dataset=dataset.artifact_ref(),
            **_fields(self.concepts),
        )
        release = ReleaseSpec(
            name=self.release,
            recommender=recommender.artifact_ref(),
            autoencoder=autoencoder.artifact_ref(),
            concepts=concepts.artifact_ref(),
        )
        jobs = {
            "dataset": dataset,
            "recommender": recommender,
            "activations": activations,
            "autoencoder": autoencoder,
            "concepts": concepts,
        }
        stages = [
            Stage(
                name=name, task=spec.JOB.task, spec=spec.canonical(), artifact=spec.artifact_ref()
            )
            for name, spec in jobs.items()
        ]
        stages.append(
            Stage(
                name="release",
                task=RELEASE_PUBLISH.task,
                spec=release.canonical(),
                artifact=f"releases/{release.name}",
            )
        )
        return stages


PIPELINE_RUN = JobKind(
    task="reclens.pipeline.run.v1",
    queue=QueueName.PIPELINE,
    spec=PipelineSpec,
    action="reclens_labeler.conductor:run_pipeline",
    owner=WorkerName.LABELER,
)


def _fields(options: Contract) -> dict[str, Any]:
    return {name: getattr(options, name) for name in type(options).model_fields}
