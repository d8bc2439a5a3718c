"""A specification for files that nobody has described yet: their format by the reader that finds
and reads them, columns of a table by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from reclens.contracts import ColumnNames, DatasetSpec, SourceSpec, SplitSpec
from reclens.data.reading import READERS, read_source
from reclens.data.sources.delimited import header_names
from reclens.data.sources.files import folder_of, parquet_names
from reclens.data.sources.json_lines import JSON_SUFFIXES, field_names, is_json
from reclens.data.sources.raw import RawData
from reclens.errors import InvalidInput, MissingData, RecLensError

_TABLE: Final = "table"
_BY_NAME: Final = ("hetrec", "movielens", "recbole", "rechorus")
"""Formats whose files have names of their own, the most particular first."""
_ANY_FILE: Final = "sequences"
"""Takes any file of lines of numbers, so it comes last."""
_RECBOLE_SUFFIX: Final = ".inter"
_PACKED: Final = ".gz"
_SUFFIXES: Final = (".parquet", ".csv", ".tsv", ".txt", ".dat", *JSON_SUFFIXES)
_NAME_PARTS: Final = re.compile(r"[^a-z0-9._-]+")

_THINGS: Final = (
    *("item", "movie", "product", "book", "song", "track", "artist", "business", "game"),
    *("video", "recipe", "article", "anime"),
)
_ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "user": (
        *("userid", "user", "uid", "customerid", "reviewerid", "visitorid", "memberid"),
        *("accountid", "username", "sessionid"),
    ),
    "item": (*(f"{thing}id" for thing in _THINGS), "asin", "isbn", "iid", "sku", *_THINGS),
    "timestamp": (
        *("timestamp", "time", "datetime", "date", "ts", "unixreviewtime", "unixtimestamp"),
        *("eventtime", "createdat", "ratedat", "at"),
    ),
    "rating": (
        *("rating", "ratings", "stars", "score", "overall", "userrating", "weight"),
        *("plays", "playcount"),
    ),
    "title": (
        *("title", *(f"{thing}title" for thing in _THINGS)),
        *("name", *(f"{thing}name" for thing in _THINGS)),
    ),
    "tags": ("tags", "genres", "genre", "categories", "category"),
    "year": ("year", "releaseyear", "publicationyear", "yearofpublication"),
}
"""How columns are called, the most usual first, in small letters and figures alone."""


class Proposal(NamedTuple):
    """A specification, and what was read by it."""

    spec: DatasetSpec
    raw: RawData


def propose(path: Path, items_path: Path | None = None) -> Proposal:
    """Find out how the files are read.

    Args:
        path: a folder, or the file with the interactions.
        items_path: the file with the items' texts; None: looked for beside ``path``.

    Raises:
        MissingData: nothing is there, or nothing that is known as interactions.
        MalformedData: the files are of a format that is known, and a row cannot be read.
        InvalidInput: no column is known to name users or items.
    """
    refused: list[RecLensError] = []
    for source in _candidates(path, items_path, refused):
        try:
            raw = read_source(source)
        except RecLensError as error:
            refused.append(error)
            continue
        kind = "ratio" if raw.order == "none" else "leave-one-out"
        spec = DatasetSpec(name=_name(path), source=source, split=SplitSpec(kind=kind))
        return Proposal(spec, raw)
    # What the most particular reader says is nearest to what is wrong.
    raise refused[0]


def _candidates(
    path: Path, items_path: Path | None, refused: list[RecLensError]
) -> Iterator[SourceSpec]:
    folder_of(path)
    known = {*_BY_NAME, _TABLE, _ANY_FILE}
    outside = [name for name in READERS.names() if name not in known]
    named = [name for name in (*outside, *_BY_NAME) if _is_found(name, path, items_path)]
    yield from (_source(name, path, items_path) for name in named)
    try:
        yield _table(path, items_path)
    except RecLensError as error:
        refused.append(error)
    if _is_found(_ANY_FILE, path, items_path):
        yield _source(_ANY_FILE, path, items_path)


def _is_found(name: str, path: Path, items_path: Path | None) -> bool:
    """Whether the reader ``name`` finds ``path`` by the names of files, in its folder."""
    if path.suffix == _RECBOLE_SUFFIX:
        return name == "recbole"
    try:
        found = READERS.load(name).locate(folder_of(path), items_path)
    except MissingData:
        return False
    return path.is_dir() or path in found.interactions


def _source(
    name: str, path: Path, items_path: Path | None, columns: ColumnNames | None = None
) -> SourceSpec:
    return SourceSpec(
        format=name,
        path=str(path.resolve()),
        items_path=None if items_path is None else str(items_path.resolve()),
        columns=columns or ColumnNames(),
    )


# --- tables --------------------------------------------------------------------------------------


def _table(path: Path, items_path: Path | None) -> SourceSpec:
    """A table by the names of its columns, and the table of items that fits it."""
    tables = {path: _header(path)} if path.is_file() else dict(_tables(path))
    roles = {file: _roles(names) for file, names in tables.items()}
    interactions = [file for file, found in roles.items() if {"user", "item"} <= found.keys()]
    if not interactions:
        raise _unknown(path, tables)
    # Of several, one with times.
    chosen = min(interactions, key=lambda file: "timestamp" not in roles[file])
    found = roles[chosen]
    columns = {name: found.get(name) for name in ("user", "item", "timestamp", "rating")}
    if items_path is None:
        beside = _tables(chosen.parent)
        items_path = next((f for f, names in beside if f != chosen and _describes(names)), None)
    if items_path is not None:
        names = _header(items_path)
        told = _roles(names)
        key = columns["item"] if columns["item"] in names else told.get("item") or _key(names)
        if key is None:
            raise _unknown(items_path, {items_path: names})
        columns |= {name: told.get(name) for name in ("title", "tags", "year")}
        columns["item_key"] = None if key == columns["item"] else key
    return _source(_TABLE, chosen, items_path, ColumnNames.parse(columns))


def _tables(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    for file in sorted(folder.iterdir()):
        if file.name.removesuffix(_PACKED).endswith(_SUFFIXES) and file.is_file():
            yield file, _header(file)


def _header(file: Path) -> list[str]:
    if file.suffix == ".parquet":
        return parquet_names(file)
    return field_names(file) if is_json(file) else header_names(file)


def _roles(names: Iterable[str]) -> dict[str, str]:
    """Names of columns by what they are for."""
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(re.sub(r"[^a-z0-9]", "", name.partition(":")[0].lower()), name)
    return {
        role: plain[known[0]]
        for role, usual in _ROLES.items()
        if (known := [one for one in usual if one in plain])
    }


def _describes(names: list[str]) -> bool:
    """Whether a table with these columns tells titles or tags of items, and no interactions."""
    told = _roles(names)
    is_keyed = "item" in told or _key(names) is not None
    return is_keyed and "user" not in told and ("title" in told or "tags" in told)


def _key(names: list[str]) -> str | None:
    return next((name for name in names if name.lower() == "id"), None)


def _unknown(path: Path, tables: Mapping[Path, list[str]]) -> InvalidInput:
    """The error for tables of which no column is known; the columns are named: whoever looks at
    files of this machine may read them."""
    told = "; ".join(f"{file.name} has {', '.join(names)[:200]}" for file, names in tables.items())
    return InvalidInput(
        f"no column of {path} is known to name users or items: {told or 'there is no table'}.",
        field="source.columns",
        remedy="write a specification that names them, see docs/how-to/datasets.md#any-table, and "
        "check it: reclens data check SPEC.yaml.",
    )


def _name(path: Path) -> str:
    """A name for the data set, from that of its folder or file."""
    resolved = path.resolve()
    stem = resolved.name if resolved.is_dir() else resolved.name.partition(".")[0]
    return _NAME_PARTS.sub("-", stem.lower()).strip("-._")[:63] or "mine"
