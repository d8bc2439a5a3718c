"""A data set as the rest of RecLens sees it: indexed, sorted by time, split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from reclens.errors import NotFound


class Split(IntEnum):
    """Division of interactions, as stored in ``Interactions.split``."""

    TRAIN = 0
    VALID = 1
    TEST = 2

    @property
    def label(self) -> str:
        """Name in tables and reports: ``train``, ``valid`` or ``test``."""
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who met what and when; one row each, sorted by user, time, order in the source."""

    user_index: npt.NDArray[np.int32]
    """[n] row of the user in ``Users``."""
    item_index: npt.NDArray[np.int32]
    """[n] row of the item in ``Items``."""
    timestamp: npt.NDArray[np.int64]
    """[n] seconds; the row number of the source where that has no time."""
    rating: npt.NDArray[np.float32] | None
    """[n] in the source's own scale; None where the source has none."""
    split: npt.NDArray[np.uint8]
    """[n] codes of ``Split``."""

    def __len__(self) -> int:
        return len(self.user_index)

    def count(self, split: Split) -> int:
        """Number of interactions of ``split``."""
        return int(np.count_nonzero(self.split == split))


@dataclass(frozen=True, eq=False)
class _Indexed:
    """What has an external id each, and an index: its position in every list."""

    ids: list[str]
    """External ids."""

    NOUN: ClassVar[str]
    """What one is called in errors."""
    REMEDY: ClassVar[str]
    """What to do where there is none of an id."""

    def __len__(self) -> int:
        return len(self.ids)

    def index_of(self, external_id: str) -> int:
        """Index of an external id.

        Raises:
            NotFound: none has this id.
        """
        index = self._index.get(external_id)
        if index is None:
            noun = self.NOUN
            raise NotFound(
                f"there is no {noun} {external_id!r} in this data set of {len(self)} {noun}s.",
                field=f"{noun}_id",
                remedy=self.REMEDY,
            )
        return index

    @cached_property
    def _index(self) -> dict[str, int]:
        return {external_id: index for index, external_id in enumerate(self.ids)}


@dataclass(frozen=True, eq=False)
class Items(_Indexed):
    """Items by index: position i of every list is item i."""

    NOUN = "item"
    REMEDY = "use an id of the data that was imported; ids are text and case-sensitive."

    titles: list[str]
    """Titles without the year; empty where the source has none."""
    tags: list[list[str]]
    """Genres, categories or tags, in the source's order."""
    years: list[int | None]
    """Year of publication, where known."""
    popularity: npt.NDArray[np.int32]
    """[n_items] number of train interactions."""
    tag_users: list[dict[str, int]] | None = None
    """Number of users who gave an item each tag, all tags; None where the source does not tell.
    ``tags`` are the most given ones."""
    held_out_tag_users: list[dict[str, int]] | None = None
    """The same of held-out users alone, whose tags ``tags`` are not made of; None where none were
    held out. No label is made from it: a truth of its own."""


@dataclass(frozen=True, eq=False)
class Users(_Indexed):
    """Users by index: position u of every list is user u."""

    NOUN = "user"
    REMEDY = "use an id of the data that was imported, or give a history of item ids."

    attributes: list[dict[str, str]]
    """What the source tells of the user, e.g. ``gender``; empty where it tells nothing."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Interactions with their items and users."""

    interactions: Interactions
    """Sorted by user, time, order in the source."""
    items: Items
    """All items that occur in ``interactions``."""
    users: Users
    """All users that occur in ``interactions``."""

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.items)

    def history(
        self,
        user_index: int,
        splits: Iterable[Split] = (Split.TRAIN, Split.VALID, Split.TEST),
    ) -> npt.NDArray[np.int64]:
        """Item indices [length] of one user within ``splits``, oldest first.

        Raises:
            NotFound: there is no such user.
        """
        if not 0 <= user_index < self.n_users:
            raise NotFound(
                f"there is no user {user_index} among {self.n_users}.",
                field="user_index",
                remedy="indices count from 0; `users.index_of` turns an id into one.",
            )
        rows = slice(int(self._offsets[user_index]), int(self._offsets[user_index + 1]))
        wanted = np.isin(self.interactions.split[rows], [int(split) for split in splits])
        return self.interactions.item_index[rows][wanted].astype(np.int64)

    @cached_property
    def _offsets(self) -> npt.NDArray[np.int64]:
        # Rows are sorted by user, so each user is one slice.
        return np.searchsorted(self.interactions.user_index, np.arange(self.n_users + 1))
