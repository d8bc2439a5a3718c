"""ReChorus: tab-separated ``train.csv``, ``dev.csv``, ``test.csv`` with user_id, item_id, time.

The three are read as one, because RecLens divides by itself. Source:
https://github.com/THUwangcy/ReChorus (folder ``data``).
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from reclens.contracts import ColumnNames
from reclens.data.sources.columns import SourceTable, clean_tags
from reclens.data.sources.delimited import read_delimited
from reclens.data.sources.files import SourceFiles, beside, folder_of
from reclens.data.sources.findings import Reading
from reclens.data.sources.raw import ItemText, RawData, titled
from reclens.data.sources.times import concat_times, read_times
from reclens.errors import MissingData

_PARTS = ("train.csv", "dev.csv", "test.csv")
_TITLES = ("i_title", "title")
_FEATURE = "i_"


def locate(path: Path, items_path: Path | None = None) -> SourceFiles:
    """Find the parts in a folder, or take one file as the only part.

    Raises:
        MissingData: there is no part.
    """
    folder = folder_of(path)
    parts = (path,) if path.is_file() else tuple(folder / name for name in _PARTS)
    parts = tuple(part for part in parts if part.is_file())
    if not parts:
        raise MissingData(
            f"there is none of {', '.join(_PARTS)} in {folder}.",
            field="source.path",
            remedy="give the folder of a ReChorus data set, or one of its files.",
        )
    return SourceFiles(
        parts,
        beside(items_path, folder / "item_meta.csv"),
        beside(None, folder / "user_meta.csv"),
    )


def read(files: SourceFiles, columns: ColumnNames) -> RawData:
    """Read a ReChorus data set; of ``columns`` applies how cells are written.

    Raises:
        MalformedData: a row or the header cannot be read.
    """
    reading = Reading(columns)
    tables = [
        read_delimited(path, "\t", quoted=None, reading=reading) for path in files.interactions
    ]
    for table in tables:
        table.require("user_id", "item_id", "time")
    times = concat_times([read_times(table, "time") for table in tables])
    return RawData(
        user_ids=pa.concat_arrays([table.ids("user_id") for table in tables]),
        item_ids=pa.concat_arrays([table.ids("item_id") for table in tables]),
        timestamps=times.seconds,
        fractions=times.fractions,
        items=_items(files.items, reading),
        users=_users(files.users, reading),
        findings=tuple(reading.findings),
    )


def _items(path: Path | None, reading: Reading) -> dict[str, ItemText]:
    if path is None:
        return {}
    table = read_delimited(path, "\t", quoted=None, reading=reading)
    table.require("item_id")
    titles = table.described(*_TITLES)
    features = [name for name in table.names if name.startswith(_FEATURE) and name not in _TITLES]
    tags: list[list[str]] = [[] for _ in titles]
    for feature in features:
        for collected, more in zip(tags, _tags(table, feature), strict=True):
            collected.extend(more)
    items: dict[str, ItemText] = {}
    for item_id, full_title, item_tags in zip(
        table.unique_ids("item_id"), titles, tags, strict=True
    ):
        title, year = titled(full_title)
        items[item_id] = ItemText(title, clean_tags(item_tags), year)
    return items


def _tags(table: SourceTable, column: str) -> list[tuple[str, ...]]:
    """One value or a bracketed list a cell; bare numbers get the feature's name before them."""
    feature = column.removeprefix(_FEATURE)
    tags: list[list[str]] = []
    for text in table.texts(column):
        listed = text.startswith("[") and text.endswith("]")
        values = text[1:-1].split(",") if listed else [text]
        names = [value.strip(" '\"") for value in values]
        tags.append([f"{feature} {name}" if name.isdigit() else name for name in names])
    return table.real_tags(column, tags)


def _users(path: Path | None, reading: Reading) -> dict[str, dict[str, str]]:
    if path is None:
        return {}
    table = read_delimited(path, "\t", quoted=None, reading=reading)
    return table.renamed([name.removeprefix("u_") for name in table.names]).attributes("user_id")
