"""Titles and tags of items, by external id."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pyarrow.parquet as pq


@dataclass(frozen=True)
class ItemEntry:
    """What is shown of an item."""

    item_id: str
    """External id."""
    title: str = ""
    """Title, where the data has one."""
    tags: tuple[str, ...] = ()
    """Tags, e.g. genres."""


@dataclass(frozen=True, eq=False)
class ItemCatalog:
    """All items of a data set."""

    _entries: dict[str, ItemEntry] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the items table of a data set (see ``contracts.tables.ITEMS``)."""
        table = pq.read_table(path, columns=["item_id", "title", "tags"])
        return cls(
            {
                item_id: ItemEntry(item_id, title or "", tuple(tags or ()))
                for item_id, title, tags in zip(
                    table["item_id"].to_pylist(),
                    table["title"].to_pylist(),
                    table["tags"].to_pylist(),
                    strict=True,
                )
            }
        )

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._entries

    def __getitem__(self, item_id: str) -> ItemEntry:
        """The entry of ``item_id``; a bare one where the catalogue does not list it."""
        return self._entries.get(item_id) or ItemEntry(item_id)
