"""Any table (CSV, TSV, Parquet, lines of JSON) whose columns are named in the specification."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from reclens.contracts import ColumnNames
from reclens.data.sources.columns import SourceTable, clean_tags
from reclens.data.sources.delimited import read_delimited
from reclens.data.sources.files import (
    SourceFiles,
    beside,
    folder_of,
    read_parquet,
)
from reclens.data.sources.findings import Reading
from reclens.data.sources.json_lines import JSON_SUFFIXES, is_json, read_json_lines
from reclens.data.sources.raw import ItemText, RawData, article_first, titled
from reclens.data.sources.times import read_times, row_numbers
from reclens.errors import MissingData, NotFound

_SUFFIXES = (".parquet", ".csv", ".tsv", *JSON_SUFFIXES)
_MOVIELENS = {"ratings.csv": "movies.csv"}
"""Items beside interactions, as MovieLens calls them."""
_OF_ITEMS = ("item_key", "title", "tags", "year")
_ROLES = ("user", "item", "item_key", "timestamp", "rating", "title", "tags", "year")


def locate(path: Path, items_path: Path | None = None) -> SourceFiles:
    """Find ``interactions``, ``items`` and ``users`` with suffix .parquet, .csv, .tsv or .jsonl.

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
        beside(None, *(file for file in _named(folder, "users") if not is_json(file))),
    )


def read(files: SourceFiles, columns: ColumnNames) -> RawData:
    """Read tables with the named columns.

    Raises:
        MalformedData: a column is missing or a cell cannot be read.
    """
    (path,) = files.interactions
    reading = Reading(columns)
    table = _read(path, reading, names=columns.names, rows_in=columns.rows_in)
    _require(table, columns, "user", "item", "rating")
    _require(
        table,
        columns,
        "timestamp",
        otherwise=", or set it to null if the rows are in order of time",
    )
    table, weights = _of_kinds(table, columns)
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
        ratings=table.ratings(columns.rating) if columns.rating else weights,
        items=_items(table, path, files.items, reading),
        users=users,
        order="time" if columns.timestamp else "rows",
        findings=tuple(reading.findings),
    )


def _movies(interactions: Path) -> list[Path]:
    name = _MOVIELENS.get(interactions.name.removesuffix(".gz"))
    return [] if name is None else [interactions.with_name(name)]


def _named(folder: Path, stem: str) -> list[Path]:
    return [folder / f"{stem}{suffix}" for suffix in _SUFFIXES]


def _read(
    path: Path,
    reading: Reading,
    *,
    names: tuple[str, ...] | None = None,
    rows_in: str | None = None,
) -> SourceTable:
    if path.suffix == ".parquet":
        return read_parquet(path, reading)
    columns = reading.columns
    expected = [value for role in _ROLES for value in _named_in(columns, role)]
    if columns.feedback is not None:
        expected.append(columns.feedback.column)
    if is_json(path):
        return read_json_lines(path, expected, reading, rows_in=rows_in)
    return read_delimited(
        path,
        None,
        names=None if names is None else list(names),
        expected=expected,
        quoted=None,
        reading=reading,
    )


def _named_in(columns: ColumnNames, role: str) -> tuple[str, ...]:
    """Names of the columns of a role; several of tags."""
    named: str | tuple[str, ...] | None = getattr(columns, role)
    return () if named is None else (named,) if isinstance(named, str) else named


def _of_kinds(
    table: SourceTable, columns: ColumnNames
) -> tuple[SourceTable, npt.NDArray[np.float32] | None]:
    """Rows of the kinds of feedback that are taken, and their weights where there are any."""
    kinds = columns.feedback
    if kinds is None:
        return table, None
    table.require(kinds.column, remedy="name the right one in source.columns.feedback.column.")
    found = table.text(kinds.column)
    counts = {one["values"]: one["counts"] for one in found.value_counts().to_pylist()}
    for kind in kinds.keep:
        if kind not in counts:
            raise NotFound.named(
                f"no row is of the kind {kind!r}.",
                kind,
                counts,
                field="source.columns.feedback.keep",
                otherwise="name one that the column has.",
            )
    rows = np.flatnonzero(np.isin(found.to_numpy(zero_copy_only=False), kinds.keep))
    others = {kind: count for kind, count in counts.items() if kind not in kinds.keep}
    table.tell(
        "other-kinds",
        "note",
        np.setdiff1d(np.arange(len(table)), rows),
        kinds.column,
        f"rows of {len(others)} other kinds of feedback are left out.",
    )
    table = table.take(rows)
    if not kinds.weights:
        return table, None
    weights = [kinds.weights[kind] for kind in table.texts(kinds.column)]
    return table, np.array(weights, dtype=np.float32)


def _items(
    interactions: SourceTable, beside: Path, path: Path | None, reading: Reading
) -> dict[str, ItemText]:
    columns = reading.columns
    key = columns.item_key or columns.item
    if path is not None:
        table = _read(path, reading)
        table.require(key, remedy="name the right one in source.columns.item_key.")
    elif any(name in interactions for role in _OF_ITEMS for name in _by_choice(columns, role)):
        key, table = columns.item, _first_rows(interactions, columns)
    else:
        _refuse_names_of_nothing(beside, columns)
        return {}
    told = {role: _columns(table, role) for role in ("title", "tags", "year")}
    if not any(told.values()):
        reading.tell(
            "items-without-columns",
            "warning",
            len(table),
            "the file has neither titles nor tags nor years under the names that are looked for.",
            file=table.file,
            remedy="name its columns in source.columns: title, tags, year.",
        )
    n = len(table)
    titles = table.described(*told["title"])
    several = [table.tags(name, columns.tag_separator) for name in told["tags"]]
    tags = [clean_tags([tag for tags in row for tag in tags]) for row in zip(*several, strict=True)]
    tags = tags or [()] * n
    years = table.years(*told["year"]) if told["year"] else [None] * n
    ids = table.unique_ids(key)
    items: dict[str, ItemText] = {}
    for item_id, full_title, item_tags, year in zip(ids, titles, tags, years, strict=True):
        title, title_year = titled(full_title)
        if year not in (None, title_year):
            title, title_year = article_first(full_title), year
        items[item_id] = ItemText(title, item_tags, title_year)
    return items


def _by_choice(columns: ColumnNames, role: str) -> tuple[str, ...]:
    """Names of the columns of ``role`` that are not those looked for by default."""
    is_default = getattr(columns, role) == ColumnNames.model_fields[role].default
    return () if is_default else _named_in(columns, role)


def _first_rows(table: SourceTable, columns: ColumnNames) -> SourceTable:
    """The first row of each item, of interactions that tell of items as well."""
    ids = table.ids(columns.item).to_pylist()
    first: dict[str, int] = {}
    for row, item in enumerate(ids):
        first.setdefault(item, row)
    for name in _by_choice(columns, "title"):
        texts = table.texts(name)
        table.tell(
            "titles-that-differ",
            "warning",
            np.array([text != texts[first[item]] for item, text in zip(ids, texts, strict=True)]),
            name,
            "interactions with an item have another title of it than the first, which is taken.",
        )
    return table.take(np.array(list(first.values()), dtype=np.int64))


def _refuse_names_of_nothing(interactions: Path, columns: ColumnNames) -> None:
    """Refuse names of columns of items that neither the interactions have nor a file of items."""
    for role in _OF_ITEMS:
        for name in _by_choice(columns, role):
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


def _columns(table: SourceTable, role: str) -> tuple[str, ...]:
    """Names of the columns of ``role``; none where they were not named and are not there.

    Raises:
        MalformedData: one was named, and is not there.
    """
    names = _named_in(table.spec, role)
    remedy = f"name the right one in source.columns.{role}, or set it to null."
    table.require(*_by_choice(table.spec, role), remedy=remedy)
    if all(name in table for name in names):
        return names
    table.reading.tell(
        "no-column",
        "note",
        len(table),
        f"there is no column {', '.join(names)!r}: no {role} known.",
        file=table.file,
        remedy=f"name the right one in source.columns.{role}, if there is one.",
    )
    return ()


def _require(table: SourceTable, columns: ColumnNames, *roles: str, otherwise: str = "") -> None:
    """Check that the columns of ``roles`` are there; those that are None are not looked for."""
    for role in roles:
        name = getattr(columns, role)
        if name is not None:
            table.require(name, remedy=f"name the right one in source.columns.{role}{otherwise}.")
