"""The specification of an import: raw files to an indexed, filtered, split data set."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, field_validator, model_validator

from reclens.contracts.artifacts import ArtifactKind
from reclens.contracts.base import ADDED_LATER, Contract, DataPath
from reclens.contracts.datasets import DATASETS
from reclens.contracts.jobs.kinds import JobKind, JobSpec, QueueName, WorkerName
from reclens.errors import NotFound

NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
"""Pattern of `Name`."""
Name = Annotated[str, Field(pattern=NAME)]
"""Lower-case letters, digits, dot, dash and underscore; at most 63 characters."""


class FeedbackKinds(Contract):
    """Kinds of interaction in a table, e.g. views and purchases."""

    column: str
    """Column with the kind."""
    keep: Annotated[tuple[str, ...], Field(min_length=1)]
    """Kinds that are taken; rows of others are left out."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Rating by kind, of those kept, where there is no column with ratings."""

    @model_validator(mode="after")
    def _weighs_what_is_kept(self) -> Self:
        if self.weights and set(self.weights) != set(self.keep):
            raise ValueError("weights are given for all kinds that are kept, and no others")
        return self


class ColumnNames(Contract):
    """Names of the columns of a table source, and how the files of any source are written."""

    user: str = "user_id"
    """Column with the user's id."""
    item: str = "item_id"
    """Column with the item's id."""
    item_key: str | None = None
    """Column of the item table with the item's id. None: named as in the interactions."""
    timestamp: str | None = "timestamp"
    """Column with the time. None: rows are in order of time."""
    rating: str | None = None
    """Column with the rating, if any."""
    title: str | None = "title"
    """Column of the item table with its title."""
    tags: str | tuple[str, ...] | None = "tags"
    """Column of the item table with its tags or genres, or several, in order."""
    year: str | None = None
    """Column of the item table with its year."""
    tag_separator: str = "|"
    """Separates the tags within their column."""
    feedback: Annotated[FeedbackKinds | None, ADDED_LATER] = None
    """Which kinds of interaction are taken. None: all."""
    names: Annotated[tuple[str, ...] | None, ADDED_LATER] = None
    """Names of the columns of the interactions, in order. None: the first line has them."""
    rows_in: Annotated[str | None, ADDED_LATER] = None
    """Field of a JSON object that lists its user's interactions. None: each object is one."""
    delimiter: Annotated[str | None, ADDED_LATER] = Field(default=None, pattern=r"^[\t -~]{1,8}$")
    """Divides the cells of a table. None: tab, comma, semicolon or bar, as found out."""
    quoting: Annotated[Literal["double", "backslash", "none"] | None, ADDED_LATER] = None
    """What quotes in a table are. ``double``: they enclose cells, and stand twice within one;
    ``backslash``: they stand after a backslash within one; ``none``: text. None: found out."""
    encoding: Annotated[str | None, ADDED_LATER] = None
    """Encoding of the files, e.g. ``windows-1252``. None: as a byte order mark says, or UTF-8, or
    that of the format's publisher."""
    decimal: Annotated[Literal[".", ","] | None, ADDED_LATER] = None
    """Stands before the decimals of numbers. None: found out, where it is unambiguous."""
    time_unit: Annotated[Literal["s", "ms", "us", "ns"] | None, ADDED_LATER] = None
    """Unit of times that are numbers. None: found out from their size."""
    time_format: Annotated[str | None, ADDED_LATER] = None
    """How times are written, e.g. ``%d/%m/%Y %H:%M``. None: found out, where it is unambiguous."""
    placeholders: Annotated[tuple[str, ...] | None, ADDED_LATER] = None
    """Cells that stand for what is not known, in any case. None: the usual ones, e.g. ``nan``,
    ``N/A``, ``(no genres listed)``."""

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")
        except LookupError as error:
            raise ValueError("no such encoding is known") from error
        return value


class SourceSpec(Contract):
    """Where raw files of one's own lie and how to read them."""

    format: Name
    """An installed reader. Those of RecLens: ``movielens``: u.data, ratings.dat or ratings.csv;
    ``recbole``: atomic files; ``rechorus``: tab-separated CSV; ``sequences``: a line per user;
    ``hetrec``: plays and tags of artists; ``table``: any CSV, Parquet or JSON lines.
    For others see docs/how-to/extend/reader.md."""
    path: DataPath
    """Folder or interactions file, below a folder that the worker's ``RECLENS_DATA__ROOTS`` or
    another of its data settings lists."""
    items_path: DataPath | None = None
    """File with item titles and tags. None: looked for beside ``path``, optional."""
    columns: ColumnNames = ColumnNames()
    """Column names, for ``format: table`` and other formats that leave them open."""
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

    name: Name = "ml-100k"
    """``ml-100k``, ``ml-1m``, ``grocery``, ``yelp``, ``lastfm-2k``, and what other installed
    packages declare, are obtained by RecLens itself, and have defaults of their own for the fields
    below, see docs/how-to/datasets.md; any other name needs a ``source``."""
    source: SourceSpec | None = None
    """Raw files of one's own."""
    min_rating: float | None = None
    """Interactions with a lower rating are left out."""
    k_core: int = Field(default=1, ge=1, le=1000)
    """Users and items with fewer interactions are left out, until none is left to leave out."""
    split: SplitSpec = SplitSpec()
    """Division into train, valid and test."""
    held_out_taggers: Annotated[float, ADDED_LATER] = Field(default=0.0, ge=0, lt=1)
    """Share of the users who gave tags whose tags describe no item: labels are not made of them, so
    they can judge labels. For sources that tell who gave which tag (``lastfm-2k``)."""
    copies: Annotated[Literal["keep", "drop"], ADDED_LATER] = "keep"
    """``drop``: of rows with the same user, item, time and rating only the first is taken, before
    all else is left out. ``keep``: they are counted, and taken for repeated interactions."""
    strict: Annotated[bool, ADDED_LATER] = False
    """Whether what is odd about the files (a warning of the account) is an error."""

    @model_validator(mode="before")
    @classmethod
    def _complete_published(cls, value: Any) -> Any:
        # Before validation, so that the canonical specification, and with it the artifact's id,
        # says what is done and not where the default came from.
        if not isinstance(value, dict):
            return value
        fields = cast("dict[str, Any]", value)
        name = fields.get("name", cls.model_fields["name"].default)
        if fields.get("source") is not None or not isinstance(name, str):
            return fields
        try:
            published = DATASETS.load(name)
        except NotFound as error:
            raise ValueError(
                f"data set {name!r} is not one that RecLens obtains by itself; give its `source`, "
                f"or choose one of {', '.join(DATASETS.names())}"
            ) from error
        split = fields.get("split")
        if isinstance(split, SplitSpec):
            fields = {**fields, "split": split.model_dump(exclude_unset=True)}
        return published.complete(fields)


DATASET_IMPORT = JobKind(
    task="reclens.dataset.import.v1",
    queue=QueueName.CAPTURE,
    spec=DatasetSpec,
    makes=ArtifactKind.DATASET,
    stage="reclens_recommender.stages.dataset:run",
    owner=WorkerName.RECOMMENDER,
)
