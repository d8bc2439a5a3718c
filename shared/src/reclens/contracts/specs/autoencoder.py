"""The specification of a sparse autoencoder: one configuration a kind, and how to train it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final, Literal, Self, cast

from pydantic import (
    ConfigDict,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)

from reclens.contracts.artifacts import ArtifactKind, ArtifactRef
from reclens.contracts.base import ADDED_LATER, Contract
from reclens.contracts.jobs.kinds import JobKind, JobSpec, QueueName, StageOptions, WorkerName
from reclens.errors import InvalidInput, NotFound
from reclens.extensions import ExtensionPoint

Precision = Literal["float32", "bfloat16"]
Normalisation = Literal["rms", "robust"]


class AutoencoderConfig(Contract, frozen=True):  # pyright: ignore[reportGeneralTypeIssues]
    """Architecture and training of a sparse autoencoder: what all kinds have in common.

    Called, or used to validate, it gives the configuration class of the ``kind`` that is asked for.
    Sources: arXiv 2406.04093, 2411.06112.
    """

    kind: str = "topk"
    """Architecture: ``topk`` (2406.04093), ``batchtopk`` (2412.06410), ``matryoshka`` (nested
    BatchTopK, 2503.17547), ``jumprelu`` (2407.14435), or one of an installed package. Two controls
    need no training: ``dimensions`` (the raw dimensions, either sign) and ``pca``; their
    ``n_latents`` is twice the width."""
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
    normalisation: Annotated[Normalisation, ADDED_LATER] = "rms"
    """How activations are scaled for training. ``rms``: all alike, by their root mean squared
    deviation. ``robust``: each dimension by its own median and interquartile range, for
    activations of which a few dimensions or rows hold most of the variance. The scales are folded
    into the weights at the end, so the dictionary is used as any other; its directions are then of
    different lengths."""
    prediction_coefficient: float = Field(default=0.0, ge=0, le=100)
    """Weight of the prediction-aware term: the Kullback-Leibler divergence of the recommender's
    softmax over items given the reconstruction from that given the activation. 0: left out."""
    prediction_items: int | None = Field(default=None, ge=2)
    """Items drawn for the prediction-aware term of a step. None: all."""

    def __new__(cls, **fields: Any) -> Self:
        """An object of the class that configures ``fields["kind"]``."""
        if cls is AutoencoderConfig:
            return super().__new__(_config_class(fields.get("kind", "topk")))  # type: ignore[arg-type]
        return super().__new__(cls)

    @model_validator(mode="wrap")
    @classmethod
    def _choose_by_kind(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Any:
        if cls is not AutoencoderConfig:
            return handler(value)
        if isinstance(value, AutoencoderConfig):
            if value.kind in _BUILT_IN or isinstance(value, InstalledAutoencoderConfig):
                return value
            value = {"kind": value.kind, **value.model_dump(mode="json", exclude_unset=True)}
        if not isinstance(value, Mapping):
            return handler(value)
        kind = cast("Mapping[str, Any]", value).get("kind", "topk")
        return _config_class(kind).model_validate(value)

    @property
    def peak_learning_rate(self) -> float:
        """The step size, with the default filled in."""
        if self.learning_rate is not None:
            return self.learning_rate
        rarity = max(1.0, self.n_latents / (64 * self.k))
        return 0.06 * (64 / self.n_latents) ** (2 / 3) * rarity ** (3 / 4)

    @property
    def level_ends(self) -> list[int]:
        """Latents in each nested prefix, rising to all of them; one prefix for most kinds."""
        return [self.n_latents]

    @property
    def latent_levels(self) -> list[int]:
        """Nested level of each latent, 0 the first."""
        starts = [0, *self.level_ends]
        return [
            level for level, (start, end) in enumerate(pairwise(starts)) for _ in range(start, end)
        ]

    @field_validator("k")
    @classmethod
    def _k_fits(cls, k: int, info: ValidationInfo) -> int:
        n_latents = info.data.get("n_latents")
        if n_latents is not None and k > n_latents:
            raise ValueError(f"k = {k} exceeds n_latents = {n_latents}; lower k or raise n_latents")
        return k


class _BuiltInConfig(AutoencoderConfig, frozen=True):
    RETIRED: ClassVar[Mapping[str, Any]] = {
        "multi_topk_coefficient": 1 / 4,
        "matryoshka_levels": [1 / 8, 1 / 4, 1 / 2, 1.0],
        "bandwidth": 2.0,
        "l0_coefficient": 1.0,
    }
    """Once every configuration had the fields of all kinds."""


class TopKConfig(_BuiltInConfig, frozen=True):
    """TopK: exactly the k strongest latents fire (arXiv 2406.04093)."""

    kind: Literal["topk"] = "topk"
    """Architecture."""
    multi_topk_coefficient: float = Field(default=1 / 4, ge=0, le=10)
    """Weight of a second reconstruction from twice ``k`` latents, in the first half of the
    steps. It finds directions that TopK alone merges, for some time."""


class BatchTopKConfig(_BuiltInConfig, frozen=True):
    """BatchTopK: k latents an activation on average (arXiv 2412.06410)."""

    kind: Literal["batchtopk"] = "batchtopk"
    """Architecture."""


class MatryoshkaConfig(_BuiltInConfig, frozen=True):
    """Matryoshka BatchTopK: nested dictionaries (arXiv 2503.17547)."""

    kind: Literal["matryoshka"] = "matryoshka"
    """Architecture."""
    matryoshka_levels: tuple[float, ...] = (1 / 8, 1 / 4, 1 / 2, 1.0)
    """Nested shares of the latents that each must reconstruct alone, rising to 1."""

    @property
    def level_ends(self) -> list[int]:
        return [max(1, round(share * self.n_latents)) for share in self.matryoshka_levels]

    @field_validator("matryoshka_levels")
    @classmethod
    def _levels_rise_to_one(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        rising = all(low < high for low, high in pairwise((0.0, *levels)))
        if not levels or not rising or levels[-1] != 1:
            raise ValueError(f"shares must rise from above 0 to 1, got {list(levels)}")
        return levels


class JumpReluConfig(_BuiltInConfig, frozen=True):
    """JumpReLU: every latent has a threshold of its own, learned (arXiv 2407.14435)."""

    kind: Literal["jumprelu"] = "jumprelu"
    """Architecture."""
    bandwidth: float = Field(default=2.0, gt=0, le=10)
    """Width of the window in which activations move a threshold."""
    l0_coefficient: float = Field(default=1.0, ge=0, le=100)
    """Weight of ``(L0 / k - 1)²``."""


class DimensionsConfig(_BuiltInConfig, frozen=True):
    """The raw dimensions of the activations, either sign: a control that is not trained."""

    kind: Literal["dimensions"] = "dimensions"
    """Architecture."""


class PcaConfig(_BuiltInConfig, frozen=True):
    """The principal components of the activations, either sign: a control that is not trained."""

    kind: Literal["pca"] = "pca"
    """Architecture."""


class InstalledAutoencoderConfig(AutoencoderConfig, frozen=True):
    """An autoencoder of an installed package: the fields of all kinds, and those of its own.

    Its own fields are kept exactly as they were given, so that every process computes the same id.
    They are checked at once where the package can be loaded; elsewhere they are carried unread.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]  # pyright: ignore[reportIncompatibleVariableOverride]

    @model_validator(mode="after")
    def _its_own_class_accepts_it(self) -> Self:
        try:
            architecture = AUTOENCODERS.load(self.kind)
        except NotFound:
            return self
        except InvalidInput as error:
            if isinstance(error.__cause__, ImportError):
                return self
            raise
        architecture.Config.model_validate(self.canonical())
        return self


_BUILT_IN: Final[dict[str, type[AutoencoderConfig]]] = {
    config.model_fields["kind"].default: config for config in _BuiltInConfig.__subclasses__()
}


def _config_class(kind: object) -> type[AutoencoderConfig]:
    if not isinstance(kind, str):
        return TopKConfig
    return _BUILT_IN.get(kind, InstalledAutoencoderConfig)


def _flaw(loaded: object) -> str:
    config = getattr(loaded, "Config", None)
    if not (inspect.isclass(config) and issubclass(config, AutoencoderConfig)):
        return "has no attribute `Config` that is a subclass of reclens.sae.AutoencoderConfig"
    lacking = ", ".join(sorted(getattr(loaded, "__abstractmethods__", ())))
    return f"lacks {lacking}" if lacking else ""


AUTOENCODERS: Final[ExtensionPoint[Any]] = ExtensionPoint(
    "reclens.autoencoders",
    noun="autoencoder",
    field="config.kind",
    page="docs/how-to/extend/autoencoder.md",
    flaw=_flaw,
)
"""Each a subclass of `reclens.sae.SparseAutoencoder`, by the ``kind`` of its configuration."""


class AutoencoderOptions(StageOptions):
    """Which autoencoder to train."""

    config: SerializeAsAny[AutoencoderConfig] = TopKConfig()
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
