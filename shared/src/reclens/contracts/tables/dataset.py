# pyright: basic
"""Tables of ``datasets/{id}/``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import pyarrow as pa

from reclens.contracts.tables.table import Table

_Attributes = Annotated[dict[str, str], pa.map_(pa.string(), pa.string())]


@dataclass(frozen=True)
class InteractionRow:
    """An interaction. Sorted by user_index, then time, then order in the source."""

    user_index: int
    """Row of the user in ``users.parquet``."""
    item_index: int
    """Row of the item in ``items.parquet``."""
    timestamp: Annotated[int, pa.int64()]
    """Seconds; the row number of the source where that has no time."""
    rating: Annotated[float, pa.float32()] | None
    """In the source's own scale; null in all rows where the source has none."""
    split: str
    """``train``, ``valid`` or ``test``."""


@dataclass(frozen=True)
class ItemRow:
    """Row i is item_index i."""

    item_id: str
    """Id in the source."""
    title: str
    """Title without the year; empty where the source has none."""
    tags: tuple[str, ...]
    """Genres, categories or tags, in the source's order."""
    year: Annotated[int, pa.int16()] | None
    """Year of publication, where known."""
    popularity: int
    """Number of train interactions."""


@dataclass(frozen=True)
class UserRow:
    """Row u is user_index u."""

    user_id: str
    """Id in the source."""
    attributes: _Attributes
    """What the source tells of the user, e.g. ``gender``."""


@dataclass(frozen=True)
class ItemTagRow:
    """A tag that users gave an item; only where the source tells who gave which. Sorted by
    item_index, then tag; tags that ``items.parquet`` leaves out are here too."""

    item_index: int
    """Row of the item in ``items.parquet``."""
    tag: str
    """The tag."""
    users: int
    """Number of users who gave it."""
    held_out_users: int
    """Only where taggers were held out: those among these users whose tags ``items.parquet`` is not
    made of."""


INTERACTIONS: Final = Table("interactions.parquet", InteractionRow, compression="zstd")
ITEMS: Final = Table("items.parquet", ItemRow, compression="zstd")
USERS: Final = Table("users.parquet", UserRow, compression="zstd")
ITEM_TAGS: Final = Table("item_tags.parquet", ItemTagRow, compression="zstd")
