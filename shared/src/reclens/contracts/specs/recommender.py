"""The specification of a recommender: one configuration per model, architecture and training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from reclens.contracts.artifacts import ArtifactKind, ArtifactRef
from reclens.contracts.base import Contract, DataPath
from reclens.contracts.jobs.kinds import JobKind, JobSpec, QueueName, StageOptions, WorkerName


class TrainingConfig(Contract):
    """How any recommender is trained: Adam, until NDCG@10 on valid stops rising."""

    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Adam step size."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """L2 penalty."""
    batch_size: int = Field(default=256, ge=1, le=1048576)
    """Examples of the model's objective a step."""
    max_epochs: int = Field(default=100, ge=1, le=10000)
    """Upper bound of passes over the training data."""
    validate_every: int = Field(default=2, ge=1, le=1000)
    """Epochs between validations."""
    patience: int = Field(default=3, ge=1, le=1000)
    """Validations without a better NDCG@10 before training stops."""


class PairwiseConfig(TrainingConfig):
    """A model with one vector per user and one per item, trained on pairs of items."""

    d_model: int = Field(default=64, ge=2, le=4096)
    """Width of the user and item embeddings."""
    weight_decay: float = Field(default=1e-6, ge=0, le=1)
    """L2 penalty."""
    max_epochs: int = Field(default=200, ge=1, le=10000)
    """Upper bound of passes over the training data."""
    validate_every: int = Field(default=5, ge=1, le=1000)
    """Epochs between validations."""
    patience: int = Field(default=4, ge=1, le=1000)
    """Validations without a better NDCG@10 before training stops."""


class SasRecConfig(TrainingConfig):
    """Self-attentive sequential recommendation (Kang and McAuley 2018, arXiv 1808.09781)."""

    kind: Literal["sasrec"] = "sasrec"
    """Model family."""
    d_model: int = Field(default=64, ge=2, le=4096)
    """Width of the representation."""
    n_layers: int = Field(default=1, ge=1, le=32)
    """Transformer blocks."""
    n_heads: int = Field(default=1, ge=1, le=64)
    """Attention heads; must divide ``d_model``."""
    max_length: int = Field(default=50, ge=1, le=4096)
    """Most recent items of a history that the model sees."""
    dropout: float = Field(default=0.3, ge=0.0, lt=1.0)
    """Dropout probability while training."""
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    """Adam step size."""
    batch_size: int = Field(default=32, ge=1, le=65536)
    """Training sequences (of up to ``max_length`` items) a step."""
    max_epochs: int = Field(default=20, ge=1, le=10000)
    """Upper bound of passes over the training data."""


class BprMfConfig(PairwiseConfig):
    """Matrix factorisation with the BPR loss (Rendle et al. 2009, arXiv 1205.2618)."""

    kind: Literal["bprmf"] = "bprmf"
    """Model family."""
    batch_size: int = Field(default=2048, ge=1, le=1048576)
    """Training pairs a step."""


class LightGcnConfig(PairwiseConfig):
    """Embeddings smoothed over the graph of interactions (He et al. 2020, arXiv 2002.02126)."""

    kind: Literal["lightgcn"] = "lightgcn"
    """Model family."""
    n_layers: int = Field(default=3, ge=0, le=16)
    """Steps to the neighbours; vectors are averaged over them and the start."""
    initial_std: float = Field(default=0.1, gt=0, le=10)
    """Standard deviation of the embeddings before training."""
    learning_rate: float = Field(default=1e-2, gt=0, le=1)
    """Adam step size."""
    batch_size: int = Field(default=8192, ge=1, le=1048576)
    """Training pairs a step. The graph is walked once a step, so large batches make it cheap."""


class WeightsFile(Contract):
    """Weights that were trained elsewhere."""

    path: DataPath
    """A ``.safetensors`` file, below a folder that the worker's ``RECLENS_DATA__ROOTS`` or another
    of its data settings lists. Pickles are never read: they run code."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Checksum of the file; the worker refuses other bytes."""


class ModuleConfig(TrainingConfig):
    """Any PyTorch model that an installed package offers as a recommender.

    See docs/how-to/extend/recommender.md.
    """

    kind: Literal["module"] = "module"
    """Model family."""
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")
    """Entry point of the group ``reclens.recommenders``."""
    version: str | None = None
    """Version of the package that offers it; another one is refused. None: any. The artifact's id
    does not tell versions apart then; the artifact does, and is refused where the code changed."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Passed to the model as they are, e.g. its sizes."""
    weights: WeightsFile | None = None
    """Bring these instead of training."""


ModelConfig = Annotated[
    SasRecConfig | BprMfConfig | LightGcnConfig | ModuleConfig, Field(discriminator="kind")
]
"""Any recommender."""


class RecommenderOptions(StageOptions):
    """Which recommender to train and how."""

    model: ModelConfig = SasRecConfig()
    """Architecture and training."""
    seed: int = Field(default=0, ge=0)
    """Seed of initialisation, sampling and dropout."""


class RecommenderSpec(RecommenderOptions, JobSpec):
    """Train a recommender."""

    ALGORITHM: ClassVar[int] = 2

    dataset: ArtifactRef
    """Data set to train and evaluate on."""

    def input_refs(self) -> dict[str, str]:
        return {"dataset": self.dataset}


RECOMMENDER_TRAIN = JobKind(
    task="reclens.recommender.train.v1",
    queue=QueueName.CAPTURE,
    spec=RecommenderSpec,
    makes=ArtifactKind.RECOMMENDER,
    stage="reclens_recommender.stages.train:run",
    check_reuse="reclens_recommender.stages.train:check_reuse",
    owner=WorkerName.RECOMMENDER,
)
