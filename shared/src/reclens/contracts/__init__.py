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
from reclens.contracts.base import Contract, canonical_json, sha256_hex
from reclens.contracts.jobs.names import INTERNAL, ROUTES, QueueName, TaskName
from reclens.contracts.jobs.progress import FailureReport, JobResult, Progress, Waiting
from reclens.contracts.jobs.spec import MAX_SPEC_BYTES, JobSpec
from reclens.contracts.specs.activations import (
    CaptureOptions,
    CaptureSpec,
    SiteSpec,
    UserShares,
    UserSplit,
)
from reclens.contracts.specs.autoencoder import (
    AutoencoderConfig,
    AutoencoderOptions,
    AutoencoderSpec,
)
from reclens.contracts.specs.concepts import (
    PAPER_CASES,
    ConceptsOptions,
    ConceptsSpec,
    JudgeName,
    LlmOptions,
    tokens_of_grades,
)
from reclens.contracts.specs.corrections import (
    ConceptCorrection,
    ConceptCorrectionsSpec,
    CorrectionOperation,
    corrections_hash,
)
from reclens.contracts.specs.dataset import ColumnNames, DatasetSpec, SourceSpec, SplitSpec
from reclens.contracts.specs.evaluation import EvaluationOptions, EvaluationSpec
from reclens.contracts.specs.pipeline import PipelineSpec, Stage
from reclens.contracts.specs.recommender import (
    BprMfConfig,
    LightGcnConfig,
    ModelConfig,
    ModuleConfig,
    RecommenderOptions,
    RecommenderSpec,
    SasRecConfig,
    WeightsFile,
)
from reclens.contracts.specs.release import ReleaseSpec
from reclens.contracts.specs.shards import ConceptShardSpec
from reclens.contracts.survey import KeyCase, KeyQuestion, SurveyKey

__all__ = [
    "INTERNAL",
    "MAX_SPEC_BYTES",
    "PAPER_CASES",
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
    "ConceptCorrection",
    "ConceptCorrectionsSpec",
    "ConceptShardSpec",
    "ConceptsOptions",
    "ConceptsSpec",
    "Contract",
    "CorrectionOperation",
    "DatasetSpec",
    "EvaluationOptions",
    "EvaluationSpec",
    "FailureReport",
    "InputEntry",
    "JobResult",
    "JobSpec",
    "JudgeName",
    "KeyCase",
    "KeyQuestion",
    "LightGcnConfig",
    "LlmOptions",
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
    "Waiting",
    "WeightsFile",
    "canonical_json",
    "corrections_hash",
    "sha256_hex",
    "split_ref",
    "tokens_of_grades",
]
