"""Items of a data set: their rows, ids, titles and tags."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.concepts.evidence.item_text import popularity_standing
from reclens.contracts.tables import ITEMS
from reclens.errors import NotFound
from reclens.similar_names import SimilarNames

APOSTROPHES = "'\u2019"
"""What is left out of words that are compared: straight and curly."""

_MAX_TEMPLATES = 100_000
"""Items whose message is kept ready; a catalogue may have millions."""
# What Arrow computes with is made when it is imported; type checkers do not see it.
_COMPUTE: Any = pc
_COLUMNS = ["item_id", "title", "tags", "year", "popularity"]


@dataclass(frozen=True)
class ItemEntry:
    """What is shown of an item."""

    item_id: str
    """External id."""
    title: str = ""
    """Title, where the data has one."""
    tags: tuple[str, ...] = ()
    """Tags, e.g. genres."""
    year: int | None = None
    """Year, where the data has one."""


class ItemCatalog:
    """All items of a data set, by row and by id.

    Texts stay in their columns and become Python objects when they are first shown: of a catalogue
    of millions most never are.

    Args:
        table: layout ``contracts.tables.ITEMS``; row i is item i.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        self._rows = {item_id: row for row, item_id in enumerate(table["item_id"].to_pylist())}
        self._ids, self._titles, self._tags, self._years = (
            self.table[name] for name in ("item_id", "title", "tags", "year")
        )
        self.template = lru_cache(_MAX_TEMPLATES)(self._template)
        """The item of a row as a recommendation without score and ranks. To be copied."""
        tags = self._tags.combine_chunks().flatten().unique().to_pylist()
        self.tags: list[str] = sorted(tag for tag in tags if tag)
        """All tags that an item has."""
        self._known_tags = frozenset(self.tags)
        self._similar_tags = SimilarNames(self.tags)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the items table of a data set.

        Raises:
            CorruptArtifact: it cannot be read.
        """
        return cls(ITEMS.read(path, _COLUMNS))

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._rows

    def __getitem__(self, item_id: str) -> ItemEntry:
        """The entry of ``item_id``; a bare one where the catalogue does not list it."""
        row = self._rows.get(item_id)
        return ItemEntry(item_id) if row is None else self.entry(row)

    def entry(self, row: int) -> ItemEntry:
        """The item of a row."""
        return ItemEntry(
            item_id=self._ids[row].as_py(),
            title=self._titles[row].as_py() or "",
            tags=tuple(self._tags[row].as_py() or ()),
            year=self._years[row].as_py(),
        )

    def standing(self, row: int) -> str:
        """`POPULAR`, `LITTLE_KNOWN` or nothing, see `popularity_standing`."""
        return self._standings[row]

    def tagged(self, tags: Iterable[str]) -> np.ndarray:
        """Rows of items with any of these tags, int64, rising."""
        rows = [self._rows_by_tag[tag] for tag in tags]
        return np.unique(np.concatenate(rows)) if rows else np.empty(0, np.int64)

    def standing_rows(self, standing: str) -> np.ndarray:
        """Rows of items of a standing, int64, rising."""
        return np.flatnonzero(np.array(self._standings, object) == standing)

    @property
    def titles(self) -> pa.ChunkedArray:
        """Titles as the data has them."""
        return self._titles

    @cached_property
    def plain_titles(self) -> pa.ChunkedArray:
        """Titles without case, accents and apostrophes, to be searched."""
        lower = _COMPUTE.utf8_lower(self._titles.fill_null(""))
        apart = _COMPUTE.utf8_normalize(lower, form="NFKD")
        return _COMPUTE.replace_substring_regex(apart, rf"[\p{{M}}{APOSTROPHES}]", "")

    @cached_property
    def popularity(self) -> np.ndarray:
        """int64 [n_items]: interactions of each item."""
        return self.table["popularity"].to_numpy().astype(np.int64)

    @cached_property
    def years(self) -> np.ndarray:
        """int64 [n_items]: year of each item; 0 where it has none."""
        return self._years.fill_null(0).to_numpy().astype(np.int64)

    @cached_property
    def _rows_by_tag(self) -> dict[str, np.ndarray]:
        lists, compute = self._tags.combine_chunks(), _COMPUTE
        tagged = {"tag": compute.list_flatten(lists), "row": compute.list_parent_indices(lists)}
        # In one thread, as the order within a group is any other way not promised.
        by_tag = pa.table(tagged).group_by("tag", use_threads=False).aggregate([("row", "list")])
        columns = zip(by_tag["tag"], by_tag["row_list"], strict=True)
        return {tag.as_py(): rows.values.to_numpy() for tag, rows in columns}

    @cached_property
    def _standings(self) -> list[str]:
        return popularity_standing(self.popularity)

    def _template(self, row: int) -> steering.Recommendation:
        entry = self.entry(row)
        return steering.Recommendation(item_id=entry.item_id, title=entry.title, tags=entry.tags)

    def find(self, item_id: str) -> int | None:
        """Row of an item; None where there is none."""
        return self._rows.get(item_id)

    def row(self, item_id: str, *, field: str) -> int:
        """Row of an item.

        Raises:
            NotFound: there is none.
        """
        row = self._rows.get(item_id)
        if row is None:
            raise NotFound(
                f"there is no item {item_id[:100]!r}.",
                field=field,
                remedy="use an id of the data set.",
            )
        return row

    def rows(self, item_ids: Iterable[str], *, field: str) -> list[int]:
        """Row of each item.

        Raises:
            NotFound: names the position of the first one that there is not.
        """
        known = self._rows
        try:
            return [known[item_id] for item_id in item_ids]
        except KeyError:
            return [
                self.row(item_id, field=f"{field}[{position}]")
                for position, item_id in enumerate(item_ids)
            ]

    def check_tag(self, tag: str, *, field: str) -> None:
        """Refuse a tag that no item has.

        Raises:
            NotFound: the remedy lists near ones.
        """
        if tag in self._known_tags:
            return
        message, otherwise = f"no item has the tag {tag[:100]!r}.", "use a tag as items have it."
        raise NotFound.named(message, tag, self._similar_tags, field=field, otherwise=otherwise)
