"""Contracts between the parts: values, names, table layouts. No torch, no I/O."""

from reclens.contracts.artifacts import (
    ArtifactKind,
    ArtifactRef,
    InputEntry,
    Manifest,
    ObjectEntry,
    Release,
    split_ref,
)
from reclens.contracts.autoencoder import AutoencoderConfig
from reclens.contracts.base import Contract, canonical_json, sha256_hex
from reclens.contracts.edits import ConceptEdit, ConceptsEditSpec, EditOperation, edits_hash
from reclens.contracts.evaluation import EvaluationOptions, EvaluationSpec
from reclens.contracts.jobs import MAX_SPEC_BYTES, JobResult, JobSpec, Progress
from reclens.contracts.models import (
    BprMfConfig,
    LightGcnConfig,
    ModelConfig,
    ModuleConfig,
    SasRecConfig,
    WeightsFile,
)
from reclens.contracts.pipeline import PipelineSpec, Stage
from reclens.contracts.specs import (
    AutoencoderOptions,
    AutoencoderSpec,
    CaptureOptions,
    CaptureSpec,
    ColumnNames,
    ConceptsOptions,
    ConceptsSpec,
    DatasetSpec,
    RecommenderOptions,
    RecommenderSpec,
    ReleaseSpec,
    SiteSpec,
    SourceSpec,
    SplitSpec,
    UserShares,
    UserSplit,
)
from reclens.contracts.survey import KeyCase, KeyQuestion, SurveyKey
from reclens.contracts.tasks import ROUTES, QueueName, TaskName

__all__ = [
    "MAX_SPEC_BYTES",
    "ROUTES",
    "ArtifactKind",
    "ArtifactRef",
    "AutoencoderConfig",
    "AutoencoderOptions",
    "AutoencoderSpec",
    "BprMfConfig",
    "CaptureOptions",
    "CaptureSpec",
    "ColumnNames",
    "ConceptEdit",
    "ConceptsEditSpec",
    "ConceptsOptions",
    "ConceptsSpec",
    "Contract",
    "DatasetSpec",
    "EditOperation",
    "EvaluationOptions",
    "EvaluationSpec",
    "InputEntry",
    "JobResult",
    "JobSpec",
    "KeyCase",
    "KeyQuestion",
    "LightGcnConfig",
    "Manifest",
    "ModelConfig",
    "ModuleConfig",
    "ObjectEntry",
    "PipelineSpec",
    "Progress",
    "QueueName",
    "RecommenderOptions",
    "RecommenderSpec",
    "Release",
    "ReleaseSpec",
    "SasRecConfig",
    "SiteSpec",
    "SourceSpec",
    "SplitSpec",
    "Stage",
    "SurveyKey",
    "TaskName",
    "UserShares",
    "UserSplit",
    "WeightsFile",
    "canonical_json",
    "edits_hash",
    "sha256_hex",
    "split_ref",
]
