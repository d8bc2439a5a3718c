"""The specification of a sparse autoencoder: its configuration, architecture and training."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from reclens.contracts.artifacts import ArtifactKind, ArtifactRef
from reclens.contracts.base import ADDED_LATER, Contract
from reclens.contracts.jobs.kinds import JobKind, JobSpec, QueueName, WorkerName

Kind = Literal["topk", "batchtopk", "matryoshka", "jumprelu", "dimensions", "pca"]
Precision = Literal["float32", "bfloat16"]


class AutoencoderConfig(Contract):
    """Architecture and training of a sparse autoencoder (arXiv 2406.04093, 2411.06112)."""

    kind: Kind = "topk"
    """Architecture: ``topk`` (2406.04093), ``batchtopk`` (2412.06410), ``matryoshka`` (nested
    BatchTopK, 2503.17547), ``jumprelu`` (2407.14435). Two controls need no training:
    ``dimensions`` (the raw dimensions, either sign) and ``pca``; their ``n_latents`` is twice the
    width."""
    d_model: int | None = Field(default=None, ge=1, le=65536)
    """Width of the activations. None: taken from the data."""
    n_latents: int = Field(default=1024, ge=1, le=1 << 24)
    """Units of the dictionary."""
    k: int = Field(default=16, ge=1, le=65536)
    """Latents active for one activation (the L0): exactly for ``topk``, on average for others."""
    seed: int = Field(default=0, ge=0)
    """Seed of initialisation, data order and held-out rows."""
    n_epochs: int = Field(default=16, ge=0, le=100000)
    """Passes over the training activations. 0: left untrained, as a control."""
    batch_size: int = Field(default=256, ge=1, le=1 << 20)
    """Activations a step, at most."""
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    """Peak step size. None: ``0.06 · (64 / n_latents)^(2/3)``, times ``(n_latents / 64 k)^(3/4)``
    where that is above 1: latents that fire seldom make few steps."""
    warmup_share: float = Field(default=0.05, ge=0, le=1)
    """Share of all steps over which the step size rises from zero to its peak."""
    decay_share: float = Field(default=0.5, ge=0, le=1)
    """Share of all steps, the last ones, over which the step size falls to zero."""
    auxiliary_coefficient: float = Field(default=1 / 8, ge=0, le=1)
    """Weight of the auxiliary loss that revives dead latents (AuxK). The papers take 1/32."""
    k_auxiliary: int | None = Field(default=None, ge=1)
    """Dead latents that explain the residual at each step. None: half of ``d_model``."""
    dead_after: int = Field(default=5_000, ge=1)
    """A latent is dead when it has not fired for this many activations."""

    precision: Annotated[Precision, ADDED_LATER] = "float32"
    """Numbers that are multiplied in training. ``bfloat16`` is for GPUs: parameters, selection and
    losses stay float32, but a product has two to three digits, so another autoencoder comes out.
    Encoding is always float32."""

    multi_topk_coefficient: float = Field(default=1 / 4, ge=0, le=10)
    """Weight of a second reconstruction from twice ``k`` latents, in the first half of the
    steps; ``topk`` only. It finds directions that TopK alone merges, for some time."""
    matryoshka_levels: tuple[float, ...] = (1 / 8, 1 / 4, 1 / 2, 1.0)
    """Nested shares of the latents that each must reconstruct alone, rising to 1; ``matryoshka``
    only."""
    bandwidth: float = Field(default=2.0, gt=0, le=10)
    """Width of the window in which activations move a threshold; ``jumprelu`` only."""
    l0_coefficient: float = Field(default=1.0, ge=0, le=100)
    """Weight of ``(L0 / k - 1)²``; ``jumprelu`` only."""
    prediction_coefficient: float = Field(default=0.0, ge=0, le=100)
    """Weight of the prediction-aware term: the Kullback-Leibler divergence of the recommender's
    softmax over items given the reconstruction from that given the activation. 0: left out."""
    prediction_items: int | None = Field(default=None, ge=2)
    """Items drawn for the prediction-aware term of a step. None: all."""

    @property
    def peak_learning_rate(self) -> float:
        """The step size, with the default filled in."""
        if self.learning_rate is not None:
            return self.learning_rate
        rarity = max(1.0, self.n_latents / (64 * self.k))
        return 0.06 * (64 / self.n_latents) ** (2 / 3) * rarity ** (3 / 4)

    @property
    def level_ends(self) -> list[int]:
        """Number of latents in each nested prefix, rising, the last being all of them; one prefix
        for kinds without levels."""
        shares = self.matryoshka_levels if self.kind == "matryoshka" else (1.0,)
        return [max(1, round(share * self.n_latents)) for share in shares]

    @property
    def latent_levels(self) -> list[int]:
        """Nested level of each latent, 0 the first."""
        starts = [0, *self.level_ends]
        return [
            level for level, (start, end) in enumerate(pairwise(starts)) for _ in range(start, end)
        ]

    @field_validator("matryoshka_levels")
    @classmethod
    def _levels_rise_to_one(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        rising = all(low < high for low, high in pairwise((0.0, *levels)))
        if not levels or not rising or levels[-1] != 1:
            raise ValueError(f"shares must rise from above 0 to 1, got {list(levels)}")
        return levels

    @field_validator("k")
    @classmethod
    def _k_fits(cls, k: int, info: ValidationInfo) -> int:
        n_latents = info.data.get("n_latents")
        if n_latents is not None and k > n_latents:
            raise ValueError(f"k = {k} exceeds n_latents = {n_latents}; lower k or raise n_latents")
        return k


class AutoencoderOptions(Contract):
    """Which autoencoder to train."""

    config: AutoencoderConfig = AutoencoderConfig()
    """Architecture and training."""


class AutoencoderSpec(AutoencoderOptions, JobSpec):
    """Train a sparse autoencoder on captured activations."""

    ALGORITHM: ClassVar[int] = 4

    activations: ArtifactRef
    """Activations to train on."""

    def input_refs(self) -> dict[str, str]:
        return {"activations": self.activations}


AUTOENCODER_TRAIN = JobKind(
    task="reclens.autoencoder.train.v1",
    queue=QueueName.TRAIN,
    spec=AutoencoderSpec,
    makes=ArtifactKind.AUTOENCODER,
    stage="reclens_trainer.stages.train:run",
    owner=WorkerName.TRAINER,
)
