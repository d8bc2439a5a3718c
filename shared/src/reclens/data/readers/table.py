"""Any CSV, TSV or Parquet table whose columns are named in the specification."""

from __future__ import annotations

from pathlib import Path

from reclens.contracts import ColumnNames
from reclens.data.sources.columns import SourceTable
from reclens.data.sources.delimited import read_delimited
from reclens.data.sources.files import (
    SourceFiles,
    beside,
    folder_of,
    read_parquet,
)
from reclens.data.sources.findings import Reading
from reclens.data.sources.raw import ItemText, RawData, article_first, titled
from reclens.data.sources.times import read_times, row_numbers
from reclens.errors import MissingData

_SUFFIXES = (".parquet", ".csv", ".tsv")
_MOVIELENS = {"ratings.csv": "movies.csv"}
"""Items beside interactions, as MovieLens calls them."""
_OF_ITEMS = ("item_key", "title", "tags", "year")
_ROLES = ("user", "item", "item_key", "timestamp", "rating", "title", "tags", "year")


def locate(path: Path, items_path: Path | None = None) -> SourceFiles:
    """Find ``interactions``, ``items`` and ``users`` with suffix .parquet, .csv or .tsv.

    ``path`` may also be the interactions file itself, of any name.

    Raises:
        MissingData: there is no interactions file.
    """
    folder = folder_of(path)
    interactions = path if path.is_file() else beside(None, *_named(folder, "interactions"))
    if interactions is None:
        raise MissingData(
            f"there is no interactions file in {folder}.",
            field="source.path",
            remedy=f"name it interactions{' or '.join(_SUFFIXES)}, or give the file itself.",
        )
    return SourceFiles(
        (interactions,),
        beside(items_path, *_named(folder, "items"), *_movies(interactions)),
        beside(None, *_named(folder, "users")),
    )


def read(files: SourceFiles, columns: ColumnNames) -> RawData:
    """Read tables with the named columns.

    Raises:
        MalformedData: a column is missing or a cell cannot be read.
    """
    (path,) = files.interactions
    reading = Reading(columns)
    table = _read(path, reading)
    _require(table, columns, "user", "item", "rating")
    _require(
        table,
        columns,
        "timestamp",
        otherwise=", or set it to null if the rows are in order of time",
    )
    users: dict[str, dict[str, str]] = {}
    if files.users is not None:
        told = _read(files.users, reading)
        _require(told, columns, "user")
        users = told.attributes(columns.user)
    times = read_times(table, columns.timestamp) if columns.timestamp else row_numbers(table)
    return RawData(
        user_ids=table.ids(columns.user),
        item_ids=table.ids(columns.item),
        timestamps=times.seconds,
        fractions=times.fractions,
        ratings=table.ratings(columns.rating) if columns.rating else None,
        items=_items(path, files.items, reading),
        users=users,
        order="time" if columns.timestamp else "rows",
        findings=tuple(reading.findings),
    )


def _movies(interactions: Path) -> list[Path]:
    name = _MOVIELENS.get(interactions.name.removesuffix(".gz"))
    return [] if name is None else [interactions.with_name(name)]


def _named(folder: Path, stem: str) -> list[Path]:
    return [folder / f"{stem}{suffix}" for suffix in _SUFFIXES]


def _read(path: Path, reading: Reading) -> SourceTable:
    if path.suffix == ".parquet":
        return read_parquet(path, reading)
    columns = reading.columns
    expected = {value for role in _ROLES if (value := getattr(columns, role)) is not None}
    return read_delimited(path, None, expected=expected, quoted=None, reading=reading)


def _items(interactions: Path, path: Path | None, reading: Reading) -> dict[str, ItemText]:
    columns = reading.columns
    if path is None:
        _refuse_names_of_nothing(interactions, columns)
        return {}
    table = _read(path, reading)
    key = columns.item_key or columns.item
    table.require(key, remedy="name the right one in source.columns.item_key.")
    told = {role: _column(table, role) for role in ("title", "tags", "year")}
    if not any(told.values()):
        reading.tell(
            "items-without-columns",
            "warning",
            len(table),
            "the file has neither titles nor tags nor years under the names that are looked for.",
            file=path.name,
            remedy="name its columns in source.columns: title, tags, year.",
        )
    n = len(table)
    titles = table.described(told["title"]) if told["title"] else [""] * n
    tags = table.tags(told["tags"], columns.tag_separator) if told["tags"] else [()] * n
    years = table.years(told["year"]) if told["year"] else [None] * n
    ids = table.unique_ids(key)
    items: dict[str, ItemText] = {}
    for item_id, full_title, item_tags, year in zip(ids, titles, tags, years, strict=True):
        title, title_year = titled(full_title)
        if year not in (None, title_year):
            title, title_year = article_first(full_title), year
        items[item_id] = ItemText(title, item_tags, title_year)
    return items


def _refuse_names_of_nothing(interactions: Path, columns: ColumnNames) -> None:
    """Refuse names of columns of items where there is no file of items."""
    for role in _OF_ITEMS:
        name = getattr(columns, role)
        if name not in (None, ColumnNames.model_fields[role].default):
            beside_it = sorted(
                path.name
                for path in interactions.parent.iterdir()
                if path.suffix in _SUFFIXES and path != interactions
            )
            raise MissingData(
                f"columns.{role} names the column {name!r} of a file of items, and there is none.",
                field="source.items_path",
                remedy=f"give that file (beside {interactions.name}: "
                f"{', '.join(beside_it[:5]) or 'no table'}), or leave the name out.",
            )


def _column(table: SourceTable, role: str) -> str | None:
    """Name of the column of ``role``; None where it was not named and is not there.

    Raises:
        MalformedData: it was named, and is not there.
    """
    name: str | None = getattr(table.spec, role)
    if name is None or name in table:
        return name
    if name != ColumnNames.model_fields[role].default:
        remedy = f"name the right one in source.columns.{role}, or set it to null."
        table.require(name, remedy=remedy)
    table.reading.tell(
        "no-column",
        "note",
        len(table),
        f"there is no column {name!r}: no {role} known.",
        file=table.file,
        remedy=f"name the right one in source.columns.{role}, if there is one.",
    )
    return None


def _require(table: SourceTable, columns: ColumnNames, *roles: str, otherwise: str = "") -> None:
    """Check that the columns of ``roles`` are there; those that are None are not looked for."""
    for role in roles:
        name = getattr(columns, role)
        if name is not None:
            table.require(name, remedy=f"name the right one in source.columns.{role}{otherwise}.")
