"""What an import tells of itself: what was found in the files, and what was done about it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from reclens.contracts.base import Record

MAX_TOLD = 160
"""Characters of a cell that an account quotes at most."""
TIME_OUTLIERS = "time-outliers"
"""Code of times that are far from all others: where a split by time fails, they may be why."""


class Finding(Record):
    """One thing that is odd about the files, with how often, and where it was met first."""

    code: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    """Which kind, e.g. ``exact-copies``; docs/how-to/datasets.md has all."""
    level: Literal["note", "warning"]
    """``note``: how the files were understood. ``warning``: what may change what is learnt; with
    ``strict`` it is an error. What certainly changes the meaning is an error at once."""
    count: int = Field(ge=0)
    """How many rows, items or users."""
    message: str
    """In words, with what was done."""
    file: str = ""
    """File of the first; empty where it concerns no file."""
    line: int = Field(default=0, ge=0)
    """Line of the first, from 1, the header included (Parquet: row, from 1); 0: no line."""
    column: str = ""
    """Column of the first."""
    value: str = Field(default="", max_length=MAX_TOLD)
    """What stands there, of a column that the specification or the format names."""
    remedy: str = ""
    """What to do where it is not what was meant."""

    @property
    def place(self) -> str:
        """File, line, column and value of the first, as far as there are any."""
        line = f"line {self.line}" if self.line else ""
        column = f"column {self.column!r}" if self.column else ""
        value = repr(self.value) if self.value else ""
        return ", ".join(part for part in (self.file, line, column, value) if part)


class DroppedRows(Record):
    """Rows that were read and left out, in the order of the reasons."""

    copies: int = Field(default=0, ge=0)
    """Exact copies of an earlier row, with ``copies: drop``."""
    min_rating: int = Field(default=0, ge=0)
    """Rated lower than ``min_rating``."""
    k_core: int = Field(default=0, ge=0)
    """Of users or items with fewer than ``k_core`` interactions."""


class SplitAccount(Record):
    """What one part of the split holds."""

    interactions: int = Field(ge=0)
    """Rows of it."""
    users: int = Field(ge=0)
    """Users with a row in it."""
    items: int = Field(ge=0)
    """Items with a row in it."""
    evaluable_users: int = Field(ge=0)
    """Users with an interaction before it, and an item in it that is not among those: they alone
    count in an evaluation, as seen items are no candidates. 0 of train, which nothing is before."""
    cold_users: int = Field(ge=0)
    """Users in it without an interaction in train."""
    cold_items: int = Field(ge=0)
    """Items in it without an interaction in train: no recommender has learnt them."""


class ImportAccount(Record):
    """What an import has read, left out and made, and what was odd."""

    rows_read: int = Field(ge=0)
    """Interactions in the files."""
    rows_dropped: DroppedRows
    """Of these, left out, by reason."""
    rows_kept: int = Field(ge=0)
    """The others."""
    exact_copies: int = Field(ge=0)
    """Rows read that have user, item, time and rating of an earlier row; 0 where the source has no
    times, by which copies could be told from repeated interactions."""
    repeats: int = Field(ge=0)
    """Rows kept whose user has an earlier row with the same item, copies among them."""
    ties: int = Field(ge=0)
    """Rows kept at the same time as another of the same user with another item: the order of the
    file stands for that of time."""
    users_read: int = Field(ge=0)
    """Users in the files."""
    users: int = Field(ge=0)
    """Of these, left by the filters."""
    items_read: int = Field(ge=0)
    """Items with an interaction in the files."""
    items: int = Field(ge=0)
    """Of these, left by the filters."""
    titled: int = Field(ge=0)
    """Items left that have a title."""
    tagged: int = Field(ge=0)
    """Items left that have tags."""
    undescribed: int = Field(ge=0)
    """Items left that have neither."""
    unmet: int = Field(ge=0)
    """Items that are described, and that no interaction in the files is with."""
    first_time: int | None = None
    """Earliest time of the rows kept, seconds since 1970 in UTC; None where there are no times."""
    last_time: int | None = None
    """The latest."""
    splits: dict[str, SplitAccount]
    """By ``train``, ``valid`` and ``test``."""
    findings: tuple[Finding, ...] = ()
    """How the files were understood, and what was odd about them."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        dropped = sum(vars(self.rows_dropped).values())
        held = sum(part.interactions for part in self.splits.values())
        if self.rows_read != self.rows_kept + dropped or self.rows_kept != held:
            raise ValueError(
                f"{self.rows_read} rows read, {dropped} dropped, {self.rows_kept} kept and {held} "
                "divided do not add up"
            )
        return self

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that may change what is learnt."""
        return tuple(one for one in self.findings if one.level == "warning")
