"""A data set as Parquet tables, laid out as ``reclens.contracts.tables`` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reclens.contracts.tables import INTERACTIONS, ITEM_TAGS, ITEMS, USERS, Table
from reclens.data.dataset import Dataset, Interactions, Items, Split, Users
from reclens.errors import CorruptArtifact, MalformedData, MissingData

_LABELS: Final = [split.label for split in sorted(Split)]
_HELD_OUT: Final = "held_out_users"


def write_dataset(dataset: Dataset, folder: Path) -> list[str]:
    """Write the tables into ``folder`` (made if need be) and return the files' names.

    The same data set gives the same bytes with the same version of pyarrow.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seen, items, users = dataset.interactions, dataset.items, dataset.users
    labels = pa.array(_LABELS).take(pa.array(seen.split))
    rating = pa.nulls(len(seen), pa.float32()) if seen.rating is None else seen.rating
    tables: dict[Table, dict[str, Any]] = {
        INTERACTIONS: {**vars(seen), "rating": rating, "split": labels},
        ITEMS: {
            "item_id": items.ids,
            "title": items.titles,
            "tags": items.tags,
            "year": items.years,
            "popularity": items.popularity,
        },
        USERS: {
            "user_id": users.ids,
            "attributes": [list(attributes.items()) for attributes in users.attributes],
        },
    }
    if items.tag_users is not None:
        tables[ITEM_TAGS] = _item_tags(items.tag_users, items.held_out_tag_users)
    for table, columns in tables.items():
        table.write(table.build(columns), folder / table.file)
    return [table.file for table in tables]


def _item_tags(
    tag_users: list[dict[str, int]], held_out: list[dict[str, int]] | None
) -> dict[str, list[Any]]:
    """Columns of the table of tags; with one more where taggers were held out."""
    rows = [
        (index, tag, count)
        for index, counts in enumerate(tag_users)
        for tag, count in sorted(counts.items())
    ]
    columns: dict[str, list[Any]] = {
        name: [row[place] for row in rows]
        for place, name in enumerate(("item_index", "tag", "users"))
    }
    if held_out is not None:
        columns[_HELD_OUT] = [held_out[index].get(tag, 0) for index, tag, _ in rows]
    return columns


def read_dataset(folder: Path) -> Dataset:
    """Read the tables that ``write_dataset``, or anything else, wrote.

    Raises:
        MissingData: a table is not there.
        MalformedData: a table lacks a column, has one of another type, is not sorted, or refers
            to a user or item that does not exist.
    """
    seen, items, users = (_read(folder, table) for table in (INTERACTIONS, ITEMS, USERS))
    user_index = seen.column("user_index").to_numpy()
    item_index = seen.column("item_index").to_numpy()
    timestamp = seen.column("timestamp").to_numpy()
    _check_range("user_index", user_index, len(users))
    _check_range("item_index", item_index, len(items))
    later_user = user_index[1:] > user_index[:-1]
    not_earlier = (user_index[1:] == user_index[:-1]) & (timestamp[1:] >= timestamp[:-1])
    if not np.all(later_user | not_earlier):
        raise _malformed(INTERACTIONS, "rows are not sorted by user_index, then timestamp")
    rating = seen.column("rating")
    if rating.null_count not in (0, len(seen)):
        raise _malformed(INTERACTIONS, "some ratings are null and others are not", "rating")
    return Dataset(
        Interactions(
            user_index,
            item_index,
            timestamp,
            None if rating.null_count == len(seen) else seen.column("rating").to_numpy(),
            _split_codes(seen),
        ),
        Items(
            items.column("item_id").to_pylist(),
            items.column("title").to_pylist(),
            items.column("tags").to_pylist(),
            items.column("year").to_pylist(),
            items.column("popularity").to_numpy(),
            *_tag_users(folder, len(items)),
        ),
        Users(
            users.column("user_id").to_pylist(),
            [dict(pairs) for pairs in users.column("attributes").to_pylist()],
        ),
    )


def _read(folder: Path, table: Table) -> pa.Table:
    path = folder / table.file
    if not path.is_file():
        raise MissingData(
            f"there is no {table.file} in {folder}.",
            field=table.file,
            remedy="give the folder of a data set that RecLens wrote.",
        )
    try:
        stored = table.read(path)
        names = set(table.schema.names) - ({_HELD_OUT} - set(stored.column_names))
        return stored.select([name for name in table.schema.names if name in names])
    except (CorruptArtifact, KeyError) as error:
        problem = f"it does not have the layout of this table ({error})"
        raise _malformed(table, problem) from error


def _tag_users(
    folder: Path, n_items: int
) -> tuple[list[dict[str, int]] | None, list[dict[str, int]] | None]:
    """Of all users, and of those that were held out; None where the data set does not tell."""
    if not (folder / ITEM_TAGS.file).is_file():
        return None, None
    table = _read(folder, ITEM_TAGS)
    _check_range("item_index", table.column("item_index").to_numpy(), n_items, ITEM_TAGS)
    counts: list[dict[str, int]] = [{} for _ in range(n_items)]
    held_out: list[dict[str, int]] = [{} for _ in range(n_items)]
    for row in table.to_pylist():
        counts[row["item_index"]][row["tag"]] = row["users"]
        if row.get(_HELD_OUT):
            held_out[row["item_index"]][row["tag"]] = row[_HELD_OUT]
    return counts, held_out if _HELD_OUT in table.column_names else None


def _split_codes(seen: pa.Table) -> npt.NDArray[np.uint8]:
    encoded = seen.column("split").combine_chunks().dictionary_encode()
    labels: list[str] = encoded.dictionary.to_pylist()
    for label in labels:
        if label not in _LABELS:
            raise _malformed(INTERACTIONS, f"{label!r} is not one of {', '.join(_LABELS)}", "split")
    codes = np.array([_LABELS.index(label) for label in labels], dtype=np.uint8)
    return codes[encoded.indices.to_numpy()]


def _check_range(
    name: str, index: npt.NDArray[np.int32], n: int, table: Table = INTERACTIONS
) -> None:
    outside = np.flatnonzero((index < 0) | (index >= n))
    if len(outside):
        row = int(outside[0])
        raise MalformedData.at(
            table.file, row + 1, name, int(index[row]), f"an index is from 0 to {n - 1}"
        )


def _malformed(table: Table, problem: str, field: str = "") -> MalformedData:
    return MalformedData(
        f"{table.file}: {problem}.",
        field=field,
        remedy="write it as the tables of `reclens.contracts.tables` are described.",
    )
