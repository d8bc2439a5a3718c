"""Contracts between the parts: values, names, table layouts. No torch, no I/O."""

# Each name is re-exported as itself, with the others of its module.
# isort: skip_file

from reclens.contracts.artifacts import (
    ArtifactKind as ArtifactKind,
    ArtifactRef as ArtifactRef,
    InputEntry as InputEntry,
    Manifest as Manifest,
    ObjectEntry as ObjectEntry,
    Release as Release,
    object_key as object_key,
    split_ref as split_ref,
)
from reclens.contracts.base import (
    Contract as Contract,
    canonical_json as canonical_json,
    sha256_hex as sha256_hex,
)
from reclens.contracts.jobs.kinds import (
    JOBS as JOBS,
    MAX_SPEC_BYTES as MAX_SPEC_BYTES,
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
from reclens.contracts.specs.activations import (
    ACTIVATIONS_CAPTURE as ACTIVATIONS_CAPTURE,
    CaptureOptions as CaptureOptions,
    CaptureSpec as CaptureSpec,
    SiteSpec as SiteSpec,
    UserShares as UserShares,
    UserSplit as UserSplit,
)
from reclens.contracts.specs.autoencoder import (
    AUTOENCODER_TRAIN as AUTOENCODER_TRAIN,
    AutoencoderConfig as AutoencoderConfig,
    AutoencoderOptions as AutoencoderOptions,
    AutoencoderSpec as AutoencoderSpec,
)
from reclens.contracts.specs.concepts import (
    CONCEPTS_JOIN as CONCEPTS_JOIN,
    CONCEPTS_LABEL as CONCEPTS_LABEL,
    CONCEPTS_SHARD as CONCEPTS_SHARD,
    PAPER_CASES as PAPER_CASES,
    ConceptShardSpec as ConceptShardSpec,
    ConceptsOptions as ConceptsOptions,
    ConceptsSpec as ConceptsSpec,
    JudgeName as JudgeName,
    LlmOptions as LlmOptions,
    tokens_of_grades as tokens_of_grades,
)
from reclens.contracts.specs.corrections import (
    CONCEPTS_EDIT as CONCEPTS_EDIT,
    ConceptCorrection as ConceptCorrection,
    ConceptCorrectionsSpec as ConceptCorrectionsSpec,
    CorrectionOperation as CorrectionOperation,
    corrections_hash as corrections_hash,
)
from reclens.contracts.specs.dataset import (
    DATASET_IMPORT as DATASET_IMPORT,
    ColumnNames as ColumnNames,
    DatasetSpec as DatasetSpec,
    SourceSpec as SourceSpec,
    SplitSpec as SplitSpec,
)
from reclens.contracts.specs.evaluation import (
    AUTOENCODER_EVALUATE as AUTOENCODER_EVALUATE,
    EvaluationOptions as EvaluationOptions,
    EvaluationSpec as EvaluationSpec,
)
from reclens.contracts.specs.pipeline import (
    PIPELINE_RUN as PIPELINE_RUN,
    PipelineSpec as PipelineSpec,
    Stage as Stage,
)
from reclens.contracts.specs.recommender import (
    RECOMMENDER_TRAIN as RECOMMENDER_TRAIN,
    BprMfConfig as BprMfConfig,
    LightGcnConfig as LightGcnConfig,
    ModelConfig as ModelConfig,
    ModuleConfig as ModuleConfig,
    RecommenderOptions as RecommenderOptions,
    RecommenderSpec as RecommenderSpec,
    SasRecConfig as SasRecConfig,
    WeightsFile as WeightsFile,
)
from reclens.contracts.specs.release import (
    RELEASE_CHANGE as RELEASE_CHANGE,
    RELEASE_PUBLISH as RELEASE_PUBLISH,
    ReleaseAction as ReleaseAction,
    ReleaseChangeSpec as ReleaseChangeSpec,
    ReleaseSpec as ReleaseSpec,
)
from reclens.contracts.survey import (
    KeyCase as KeyCase,
    KeyQuestion as KeyQuestion,
    SurveyKey as SurveyKey,
)
