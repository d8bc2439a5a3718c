"""One specification per stage: ``...Options`` is what a person writes, ``...Spec`` adds inputs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, cast, get_args

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from reclens.contracts.artifacts import ArtifactKind, ArtifactRef
from reclens.contracts.autoencoder import AutoencoderConfig
from reclens.contracts.base import Contract, canonical_json, sha256_hex
from reclens.contracts.built_in import BUILT_IN_DEFAULTS, with_defaults
from reclens.contracts.jobs import JobSpec
from reclens.contracts.models import ModelConfig, SasRecConfig
from reclens.contracts.tasks import TaskName

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""Lower-case letters, digits, dot, dash and underscore; at most 63 characters."""


# --- dataset -------------------------------------------------------------------------------------


class ColumnNames(Contract):
    """Names of the columns of a table source."""

    user: str = "user_id"
    """Column with the user's id."""
    item: str = "item_id"
    """Column with the item's id."""
    item_key: str | None = None
    """Column of the item table with the item's id. None: named as in the interactions."""
    timestamp: str | None = "timestamp"
    """Column with the time, seconds. None: rows are in order of time."""
    rating: str | None = None
    """Column with the rating, if any."""
    title: str | None = "title"
    """Column of the item table with its title."""
    tags: str | None = "tags"
    """Column of the item table with its tags or genres."""
    year: str | None = None
    """Column of the item table with its year."""
    tag_separator: str = "|"
    """Separates the tags within their column."""


class SourceSpec(Contract):
    """Where raw files of one's own lie and how to read them."""

    format: Literal["movielens", "recbole", "rechorus", "sequences", "hetrec", "table"]
    """``movielens``: u.data or ratings.dat; ``recbole``: atomic files; ``rechorus``: tab-separated
    CSV; ``sequences``: a line per user; ``hetrec``: plays and tags of artists; ``table``: any CSV
    or Parquet with the named columns."""
    path: str
    """Folder or interactions file, readable by the worker."""
    items_path: str | None = None
    """File with item titles and tags. None: looked for beside ``path``, optional."""
    columns: ColumnNames = ColumnNames()
    """Column names, for ``format: table``."""
    sha256: dict[str, str] = Field(default_factory=dict)
    """File name to checksum. ``reclens submit`` fills it in; the worker refuses other bytes."""


class SplitSpec(Contract):
    """How interactions are divided into train, valid and test."""

    kind: Literal["leave-one-out", "ratio", "global-time"] = "leave-one-out"
    """``leave-one-out``: each user's last is test, the one before valid. ``ratio``: random shares
    per user. ``global-time``: by two points in time."""
    share_of: Literal["interactions", "days"] = "interactions"
    """What ``global-time`` takes the shares of: all interactions, or the days from the first to the
    last of them."""
    valid: float = Field(default=0.1, gt=0, lt=1)
    """Share of valid, not used by leave-one-out."""
    test: float = Field(default=0.1, gt=0, lt=1)
    """Share of test, not used by leave-one-out."""
    seed: int = Field(default=0, ge=0)
    """Seed of the random shares."""

    @model_validator(mode="after")
    def _train_keeps_a_share(self) -> Self:
        if self.valid + self.test >= 1:
            raise ValueError(f"valid {self.valid} + test {self.test} leave nothing to train on")
        if self.share_of == "days" and self.kind != "global-time":
            raise ValueError(f"share_of: days is for global-time, not for {self.kind}")
        return self


class DatasetSpec(JobSpec):
    """Import a data set: read, filter, index, split."""

    TASK: ClassVar[TaskName] = TaskName.DATASET_IMPORT
    KIND: ClassVar[ArtifactKind] = ArtifactKind.DATASET

    name: Name = "ml-100k"
    """``ml-100k``, ``ml-1m``, ``grocery``, ``yelp`` and ``lastfm-2k`` are obtained by RecLens
    itself, and have defaults of their own for the fields below, see docs/datasets.md; any other
    name needs a ``source``."""
    source: SourceSpec | None = None
    """Raw files of one's own."""
    min_rating: float | None = None
    """Interactions with a lower rating are left out."""
    k_core: int = Field(default=1, ge=1, le=1000)
    """Users and items with fewer interactions are left out, until none is left to leave out."""
    split: SplitSpec = SplitSpec()
    """Division into train, valid and test."""
    held_out_taggers: float = Field(default=0.0, ge=0, lt=1)
    """Share of the users who gave tags whose tags describe no item: labels are not made of them, so
    they can judge labels. For sources that tell who gave which tag (``lastfm-2k``)."""

    @model_serializer(mode="wrap")
    def _leave_out_no_taggers(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Data sets that were made before there was a choice keep their ids.
        fields = handler(self)
        if fields["held_out_taggers"] == 0:
            del fields["held_out_taggers"]
        return fields

    @model_validator(mode="before")
    @classmethod
    def _complete_built_in(cls, value: Any) -> Any:
        # Before validation, so that the canonical specification, and with it the artifact's id,
        # says what is done and not where the default came from.
        if not isinstance(value, dict):
            return value
        fields = cast("dict[str, Any]", value)
        name = fields.get("name", cls.model_fields["name"].default)
        if fields.get("source") is not None or name not in tuple(BUILT_IN_DEFAULTS):
            return fields
        split = fields.get("split")
        if isinstance(split, SplitSpec):
            fields = {**fields, "split": split.model_dump(exclude_unset=True)}
        return with_defaults(name, fields)

    @model_validator(mode="after")
    def _known_or_sourced(self) -> Self:
        if self.source is None and self.name not in BUILT_IN_DEFAULTS:
            raise ValueError(
                f"data set {self.name!r} is not built in; give its `source`, or choose one of "
                f"{', '.join(BUILT_IN_DEFAULTS)}"
            )
        return self


# --- recommender ---------------------------------------------------------------------------------


class RecommenderOptions(Contract):
    """Which recommender to train and how."""

    model: ModelConfig = SasRecConfig()
    """Architecture and training."""
    seed: int = Field(default=0, ge=0)
    """Seed of initialisation, sampling and dropout."""


class RecommenderSpec(RecommenderOptions, JobSpec):
    """Train a recommender."""

    TASK: ClassVar[TaskName] = TaskName.RECOMMENDER_TRAIN
    KIND: ClassVar[ArtifactKind] = ArtifactKind.RECOMMENDER
    ALGORITHM: ClassVar[int] = 2

    dataset: ArtifactRef
    """Data set to train and evaluate on."""

    def input_refs(self) -> dict[str, str]:
        return {"dataset": self.dataset}


# --- activations ---------------------------------------------------------------------------------


class SiteSpec(Contract):
    """The one place at which the recommender is opened."""

    module: str
    """Dotted path of a module of the recommender, e.g. ``encoder.norm``."""
    position: Literal["last", "all", "row"] = "last"
    """Which vector of the module's output: ``last`` of the sequence, ``all`` of it, or ``row``
    when the output is already one vector per case."""
    output: int | None = None
    """Index into the module's output where that is a tuple."""


UserSplit = Literal["train", "construct", "verify", "test"]
"""Division of users after capture: ``train`` trains the autoencoder, ``construct`` is the evidence
from which labels are made, ``verify`` judges the labels, ``test`` is held out from all of that."""


def _check_shares(shares: dict[UserSplit, float]) -> dict[UserSplit, float]:
    if set(shares) != set(get_args(UserSplit)):
        raise ValueError(f"give a share for each of {', '.join(get_args(UserSplit))}")
    if min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"shares must be positive and sum to 1, got {shares}")
    return shares


UserShares = Annotated[dict[UserSplit, float], AfterValidator(_check_shares)]


class CaptureOptions(Contract):
    """Which representations to capture."""

    site: SiteSpec | None = None
    """Where to probe. None: the model's own site before its prediction layer."""
    cases: Literal["auto", "prefixes", "users", "folds"] = "auto"
    """``prefixes``: every prefix of a history is a case; ``users``: one case a user; ``folds``: the
    learned vector of each user, and ``folds`` parts of the user's history folded in as if the user
    were unknown; ``auto``: prefixes for models that read the history, folds for others."""
    folds: int = Field(default=16, ge=1, le=10_000)
    """Random parts of each user's history, for ``cases: folds``."""
    top_k: int = Field(default=50, ge=1, le=1000)
    """Items of the untouched answer kept with each case. Labels are read from them: on
    MovieLens-100K, 50 label 82 % of the latents that fire and 10 label 66 %."""
    shares: UserShares = Field(
        default={"train": 0.45, "construct": 0.3, "verify": 0.15, "test": 0.1}
    )
    """Disjoint shares of users, for everything after capture."""
    dtype: Literal["float32", "float16"] = "float32"
    """Storage type of the representation."""
    shard_rows: int = Field(default=32_768, ge=1, le=10_000_000)
    """Cases per Parquet shard."""
    seed: int = Field(default=0, ge=0)
    """Seed of the division of users, and of the parts of histories."""


class CaptureSpec(CaptureOptions, JobSpec):
    """Capture the representations of a recommender."""

    TASK: ClassVar[TaskName] = TaskName.ACTIVATIONS_CAPTURE
    KIND: ClassVar[ArtifactKind] = ArtifactKind.ACTIVATIONS
    ALGORITHM: ClassVar[int] = 2

    recommender: ArtifactRef
    """Recommender to open."""

    def input_refs(self) -> dict[str, str]:
        return {"recommender": self.recommender}


# --- autoencoder ---------------------------------------------------------------------------------


class AutoencoderOptions(Contract):
    """Which autoencoder to train."""

    config: AutoencoderConfig = AutoencoderConfig()
    """Architecture and training."""


class AutoencoderSpec(AutoencoderOptions, JobSpec):
    """Train a sparse autoencoder on captured activations."""

    TASK: ClassVar[TaskName] = TaskName.AUTOENCODER_TRAIN
    KIND: ClassVar[ArtifactKind] = ArtifactKind.AUTOENCODER
    ALGORITHM: ClassVar[int] = 4

    activations: ArtifactRef
    """Activations to train on."""

    def input_refs(self) -> dict[str, str]:
        return {"activations": self.activations}


# --- release -------------------------------------------------------------------------------------


class ReleaseSpec(Contract):
    """Point a release at a recommender, an autoencoder and its concepts."""

    TASK: ClassVar[TaskName] = TaskName.RELEASE_PUBLISH

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
