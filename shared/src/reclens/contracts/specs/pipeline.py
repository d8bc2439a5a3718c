"""A pipeline: all stages from raw data to a release in one specification."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from reclens.contracts.base import Contract
from reclens.contracts.jobs.kinds import JobKind, QueueName, WorkerName
from reclens.contracts.specs.activations import CaptureOptions, CaptureSpec
from reclens.contracts.specs.autoencoder import AutoencoderOptions, AutoencoderSpec
from reclens.contracts.specs.concepts import ConceptsOptions, ConceptsSpec
from reclens.contracts.specs.dataset import DatasetSpec, Name
from reclens.contracts.specs.recommender import RecommenderOptions, RecommenderSpec
from reclens.contracts.specs.release import RELEASE_PUBLISH, ReleaseSpec


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
    expected: int | None = Field(default=None, ge=0)
    """Number of the version of the release that is to be followed, 0 where there is to be none.
    None: whichever it is, unless it was ordered after this pipeline."""
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
            expected=self.expected,
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
