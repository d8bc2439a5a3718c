"""What has to be made for a report: one job an artifact, all ids known before anything runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from reclens.contracts import (
    AutoencoderConfig,
    AutoencoderSpec,
    CaptureSpec,
    ConceptsSpec,
    DatasetSpec,
    EvaluationSpec,
    JobSpec,
    ModelConfig,
    RecommenderSpec,
)
from reclens.errors import InvalidInput

_MODEL: TypeAdapter[Any] = TypeAdapter(ModelConfig)
_RATIO = {"split": {"kind": "ratio", "valid": 0.1, "test": 0.1}}

# What differs from the defaults of the contracts, by data set and model.
_MODELS: dict[tuple[str, str], dict[str, Any]] = {
    ("ml-100k", "sasrec"): {"d_model": 64, "n_layers": 2, "max_length": 50},
    ("grocery", "sasrec"): {
        "d_model": 64,
        "max_length": 20,
        "batch_size": 128,
        "learning_rate": 0.001,
        "dropout": 0.5,
        "max_epochs": 60,
    },
}
_SPLITS = {("ml-100k", "bprmf"): _RATIO, ("ml-100k", "lightgcn"): _RATIO}
# Half of those who gave tags describe items, half judge labels.
_TAGGERS = {"lastfm-2k": {"held_out_taggers": 0.5}}
_MAIN: dict[str, dict[str, int]] = {"grocery": {"n_latents": 2048, "k": 32}}
_MAIN_DEFAULT = {"n_latents": 1024, "k": 16}

N_EPOCHS = 6
"""Passes over the activations of every dictionary; more lower the FVU by little."""
GRID_LATENTS = 1024
"""Latents of the grid over k and of the variants."""
GRID_K = (4, 8, 16, 32)
"""Active latents of the grid over k."""
GRID_SCALE = (8, 16, 32)
"""Latents per dimension of the grid over the size, at k 16."""
GRID_SCALE_K = 16
VARIANT_KINDS: tuple[str, ...] = ("topk", "batchtopk", "matryoshka", "jumprelu")
"""Architectures held side by side."""
VARIANT_K = (8, 16, 32)
"""Their active latents."""
PREDICTION_K = (4, 16)
"""Active latents of those trained with the prediction-aware term, with `GRID_LATENTS` latents."""
PREDICTION_COEFFICIENTS = (1.0, 10.0)
"""Weights of that term; 0 is in the grid over k."""
PREDICTION_ITEMS = 1024
"""Items that the term draws at each step."""
N_EXAMPLES = 40
"""Latents whose cases are kept, of which F3 draws six: those that share a label come first."""


class Role(StrEnum):
    """Why an autoencoder is in the plan."""

    MAIN = "main"
    GRID_K = "grid over k"
    GRID_SIZE = "grid over size"
    VARIANT = "variant"
    PREDICTION = "prediction-aware"
    SECOND_SEED = "second seed"
    UNTRAINED = "untrained"
    DIMENSIONS = "raw dimensions"
    PCA = "PCA"
    CLOSED_FORM = "closed form, grid over k"


LABELLED_CONTROLS = (Role.UNTRAINED, Role.DIMENSIONS, Role.PCA)
"""Controls that are labelled and measured by the same code as the main dictionary."""
CONTROLS = (*LABELLED_CONTROLS, Role.CLOSED_FORM)
"""Dictionaries that have learned nothing of their own."""
_MAIN_ONLY = frozenset({Role.MAIN, Role.SECOND_SEED, *LABELLED_CONTROLS})
CLOSED_FORMS = {"dimensions": Role.DIMENSIONS, "pca": Role.PCA}
"""Kinds of dictionary that need no training, by what they are labelled as; reported at each of
`GRID_K`, so that figure F7 holds the learned ones against what they must beat at every sparsity."""


@dataclass(frozen=True)
class PlannedJob:
    """One job."""

    name: str
    """What it makes, for people."""
    spec: JobSpec
    """Its whole specification."""
    required: bool
    """Whether there is no report without it."""

    @property
    def ref(self) -> str:
        """``kind/id`` of what it makes."""
        return self.spec.artifact_ref()


@dataclass(frozen=True)
class PlannedDictionary:
    """One autoencoder, and its labels and evaluation where it gets them."""

    roles: tuple[Role, ...]
    """All reasons why it is in the plan."""
    autoencoder: AutoencoderSpec
    """How it is trained."""
    concepts: ConceptsSpec | None = None
    """How it is labelled; None: not."""
    evaluation: EvaluationSpec | None = None
    """How it is measured; None: not."""

    @property
    def config(self) -> AutoencoderConfig:
        """Its architecture and training."""
        return self.autoencoder.config

    @property
    def name(self) -> str:
        """Short and unique within a plan."""
        for role in LABELLED_CONTROLS:
            if role in self.roles:
                return str(role)
        if Role.CLOSED_FORM in self.roles:
            return f"{CLOSED_FORMS[self.config.kind]}, k {self.config.k}"
        name = f"{self.config.kind} {self.config.n_latents:,}/{self.config.k}"
        if Role.SECOND_SEED in self.roles:
            return f"{name}, {Role.SECOND_SEED}"
        if Role.PREDICTION in self.roles:
            return f"{name}, {Role.PREDICTION} {self.config.prediction_coefficient:g}"
        return name


@dataclass(frozen=True)
class StudyPlan:
    """Everything behind the report of one data set and model."""

    dataset_name: str
    """Data set."""
    model_name: str
    """Kind of recommender."""
    dataset: DatasetSpec
    """How it is imported."""
    recommender: RecommenderSpec
    """How it is trained."""
    activations: CaptureSpec
    """What is captured."""
    dictionaries: tuple[PlannedDictionary, ...]
    """The main one first; each once, whatever its reasons."""

    @property
    def main(self) -> PlannedDictionary:
        """The dictionary that the report is about."""
        return self.dictionaries[0]

    def jobs(self) -> list[PlannedJob]:
        """All jobs, inputs before what reads them."""
        jobs = [
            PlannedJob("data set", self.dataset, True),
            PlannedJob("recommender", self.recommender, True),
            PlannedJob("activations", self.activations, True),
        ]
        for stage in ("autoencoder", "concepts", "evaluation"):
            for dictionary in self.dictionaries:
                spec: JobSpec | None = getattr(dictionary, stage)
                if spec is not None:
                    required = bool({Role.MAIN, Role.SECOND_SEED}.intersection(dictionary.roles))
                    jobs.append(PlannedJob(f"{stage} of {dictionary.name}", spec, required))
        return jobs


def make_plan(dataset_name: str, model_name: str, *, main_only: bool = False) -> StudyPlan:
    """Plan the report of a data set that RecLens obtains itself and a model that it trains.

    Args:
        dataset_name: data set.
        model_name: kind of recommender.
        main_only: leave out the dictionaries that the main one is not measured against: grids,
            architectures, the prediction-aware term. What remains has the same specifications, so
            a whole run later finds it.

    Raises:
        InvalidInput: there is no such data set or model.
    """
    dataset = _dataset(dataset_name, model_name)
    recommender = RecommenderSpec(
        dataset=dataset.artifact_ref(), model=_model(dataset_name, model_name)
    )
    activations = CaptureSpec(recommender=recommender.artifact_ref())
    width = recommender.model.d_model  # type: ignore[union-attr] - every trained kind has it
    reasons: dict[AutoencoderConfig, list[Role]] = {}
    for role, config in _configs(dataset_name, width):
        if main_only and role not in _MAIN_ONLY:
            continue
        reasons.setdefault(config, []).append(role)
    return StudyPlan(
        dataset_name=dataset_name,
        model_name=model_name,
        dataset=dataset,
        recommender=recommender,
        activations=activations,
        dictionaries=tuple(
            _dictionary(config, tuple(roles), activations, dataset)
            for config, roles in reasons.items()
        ),
    )


def _configs(dataset_name: str, width: int) -> Iterator[tuple[Role, AutoencoderConfig]]:
    def config(kind: str, n_latents: int, k: int, **term: Any) -> AutoencoderConfig:
        fields = {"kind": kind, "n_latents": n_latents, "k": k, "n_epochs": N_EPOCHS}
        return AutoencoderConfig.parse(fields | term)

    main = config("topk", **_MAIN.get(dataset_name, _MAIN_DEFAULT))
    yield Role.MAIN, main
    for k in GRID_K:
        yield Role.GRID_K, config("topk", GRID_LATENTS, k)
    for scale in GRID_SCALE:
        yield Role.GRID_SIZE, config("topk", scale * width, GRID_SCALE_K)
    for kind, k in itertools.product(VARIANT_KINDS, VARIANT_K):
        yield Role.VARIANT, config(kind, GRID_LATENTS, k)
    for k, coefficient in itertools.product(PREDICTION_K, PREDICTION_COEFFICIENTS):
        term = {"prediction_coefficient": coefficient, "prediction_items": PREDICTION_ITEMS}
        yield Role.PREDICTION, config("topk", GRID_LATENTS, k, **term)
    yield Role.SECOND_SEED, _with_second_seed(main)
    yield Role.UNTRAINED, main.model_copy(update={"n_epochs": 0})
    for kind, role in CLOSED_FORMS.items():
        yield role, config(kind, 2 * width, min(main.k, width))
    # After the labelled ones, so that the same configuration keeps its place among them.
    for kind, k in itertools.product(CLOSED_FORMS, GRID_K):
        yield Role.CLOSED_FORM, config(kind, 2 * width, min(k, width))


def _with_second_seed(config: AutoencoderConfig) -> AutoencoderConfig:
    return config.model_copy(update={"seed": config.seed + 1})


def _dictionary(
    config: AutoencoderConfig,
    roles: tuple[Role, ...],
    activations: CaptureSpec,
    dataset: DatasetSpec,
) -> PlannedDictionary:
    autoencoder = AutoencoderSpec(activations=activations.artifact_ref(), config=config)
    if not {Role.MAIN, Role.GRID_K, Role.PREDICTION, *LABELLED_CONTROLS}.intersection(roles):
        return PlannedDictionary(roles, autoencoder)
    concepts = ConceptsSpec(autoencoder=autoencoder.artifact_ref(), dataset=dataset.artifact_ref())
    retrained = None
    if Role.MAIN in roles:
        update = {"config": _with_second_seed(config)}
        retrained = autoencoder.model_copy(update=update).artifact_ref()
    evaluation = EvaluationSpec(
        autoencoder=autoencoder.artifact_ref(),
        concepts=concepts.artifact_ref(),
        retrained=retrained,
        n_examples=N_EXAMPLES,
    )
    return PlannedDictionary(roles, autoencoder, concepts, evaluation)


def _dataset(dataset_name: str, model_name: str) -> DatasetSpec:
    split = _SPLITS.get((dataset_name, model_name), {})
    return DatasetSpec.parse({"name": dataset_name, **_TAGGERS.get(dataset_name, {}), **split})


def _model(dataset_name: str, model_name: str) -> Any:
    try:
        return _MODEL.validate_python(
            {"kind": model_name, **_MODELS.get((dataset_name, model_name), {})}
        )
    except ValidationError as error:
        raise InvalidInput(
            f"there is no recommender {model_name!r} that RecLens trains itself.",
            field="model",
            remedy="choose one of sasrec, bprmf, lightgcn.",
        ) from error
