"""Contracts between the parts: values, names, table layouts. No torch, no I/O."""

# Each name is re-exported as itself, with the others of its module.
# isort: skip_file

from reclens.contracts.artifacts import (
    ArtifactKind as ArtifactKind,
    ArtifactRef as ArtifactRef,
    Manifest as Manifest,
    ObjectEntry as ObjectEntry,
    Release as Release,
    object_key as object_key,
    split_ref as split_ref,
)
from reclens.contracts.base import (
    Contract as Contract,
    DataPath as DataPath,
    Record as Record,
    canonical_json as canonical_json,
    data_paths as data_paths,
    sha256_hex as sha256_hex,
)
from reclens.contracts.jobs.kinds import (
    JobKind as JobKind,
    JobSpec as JobSpec,
    QueueName as QueueName,
    WorkerName as WorkerName,
    job_kinds as job_kinds,
)
from reclens.contracts.jobs.progress import (
    FailureReport as FailureReport,
    JobResult as JobResult,
    Progress as Progress,
    Waiting as Waiting,
)
from reclens.contracts.specs.activations import CaptureSpec as CaptureSpec, SiteSpec as SiteSpec
from reclens.contracts.specs.autoencoder import (
    AutoencoderConfig as AutoencoderConfig,
    AutoencoderSpec as AutoencoderSpec,
)
from reclens.contracts.specs.concepts import (
    ConceptShardSpec as ConceptShardSpec,
    ConceptsOptions as ConceptsOptions,
    ConceptsSpec as ConceptsSpec,
    JudgeName as JudgeName,
    LlmOptions as LlmOptions,
)
from reclens.contracts.specs.corrections import (
    ConceptCorrection as ConceptCorrection,
    ConceptCorrectionsSpec as ConceptCorrectionsSpec,
)
from reclens.contracts.specs.dataset import (
    ColumnNames as ColumnNames,
    DatasetSpec as DatasetSpec,
    SourceSpec as SourceSpec,
    SplitSpec as SplitSpec,
)
from reclens.contracts.specs.evaluation import EvaluationSpec as EvaluationSpec
from reclens.contracts.specs.pipeline import PipelineSpec as PipelineSpec
from reclens.contracts.specs.recommender import (
    BprMfConfig as BprMfConfig,
    LightGcnConfig as LightGcnConfig,
    ModelConfig as ModelConfig,
    ModuleConfig as ModuleConfig,
    RecommenderSpec as RecommenderSpec,
    SasRecConfig as SasRecConfig,
    WeightsFile as WeightsFile,
)
from reclens.contracts.specs.release import (
    ReleaseAction as ReleaseAction,
    ReleaseChangeSpec as ReleaseChangeSpec,
    ReleaseSpec as ReleaseSpec,
)
from reclens.contracts.survey import (
    KeyCase as KeyCase,
    KeyQuestion as KeyQuestion,
    SurveyKey as SurveyKey,
)
