"""RecBole's atomic files: tab-separated, every column's type in the header (``user_id:token``).

Source: https://recbole.io/docs/user_guide/data/atomic_files.html.
"""

from __future__ import annotations

from pathlib import Path

from reclens.contracts import ColumnNames
from reclens.data.sources.columns import SourceTable, clean_tags
from reclens.data.sources.delimited import read_delimited
from reclens.data.sources.files import SourceFiles, beside, folder_of
from reclens.data.sources.findings import Reading
from reclens.data.sources.raw import ItemText, RawData, titled
from reclens.data.sources.times import read_times, row_numbers
from reclens.errors import MalformedData, MissingData

_TYPES = ("token", "token_seq", "float", "float_seq")
_TITLES = ("movie_title", "title", "name")
_TAGS = ("class", "genre", "genres", "categories")
_YEAR = "release_year"


def locate(path: Path, items_path: Path | None = None) -> SourceFiles:
    """Find ``.inter``, ``.item`` and ``.user`` of one name; the latter two may be missing.

    Raises:
        MissingData: there is no ``.inter`` file, or several and none has the folder's name.
    """
    folder = folder_of(path)
    found = [path] if path.suffix == ".inter" else sorted(folder.glob("*.inter"))
    if len(found) > 1:
        found = [file for file in found if file.stem == folder.resolve().name]
    if len(found) != 1:
        raise MissingData(
            f"there is no single .inter file in {folder}.",
            field="source.path",
            remedy="give the .inter file itself, or a folder with exactly one.",
        )
    (inter,) = found
    return SourceFiles(
        (inter,),
        beside(items_path, inter.with_suffix(".item")),
        beside(None, inter.with_suffix(".user")),
    )


def read(files: SourceFiles, columns: ColumnNames) -> RawData:
    """Read atomic files; of ``columns`` applies how cells are written.

    Raises:
        MalformedData: a row or the header cannot be read.
    """
    reading = Reading(columns)
    (path,) = files.interactions
    table, _ = _typed(path, reading)
    table.require("user_id", "item_id")
    times = read_times(table, "timestamp") if "timestamp" in table else row_numbers(table)
    return RawData(
        user_ids=table.ids("user_id"),
        item_ids=table.ids("item_id"),
        timestamps=times.seconds,
        fractions=times.fractions,
        ratings=table.ratings("rating") if "rating" in table else None,
        items=_items(files.items, reading),
        users={} if files.users is None else _typed(files.users, reading)[0].attributes("user_id"),
        order="time" if "timestamp" in table else "rows",
        findings=tuple(reading.findings),
    )


def _typed(path: Path, reading: Reading) -> tuple[SourceTable, dict[str, str]]:
    """Columns under their plain names, and the type of each."""
    raw = read_delimited(path, "\t", reading=reading)
    types: dict[str, str] = {}
    for number, header in enumerate(raw.names, start=1):
        name, _, kind = header.partition(":")
        if kind not in _TYPES or name in types:
            raise MalformedData(
                f"{path.name}, line 1, column {number}: a header is name:type, once, with a type "
                f"of {', '.join(_TYPES)}.",
                field=path.name,
                remedy="correct the header.",
            )
        types[name] = kind
    return raw.renamed(list(types)), types


def _items(path: Path | None, reading: Reading) -> dict[str, ItemText]:
    if path is None:
        return {}
    table, types = _typed(path, reading)
    table.require("item_id")
    titles, years = table.described(*_TITLES), table.described(_YEAR)
    tag_column = next((name for name in _TAGS if name in table), None)
    tags = _tags(table, tag_column, types) if tag_column else [()] * len(table)
    items: dict[str, ItemText] = {}
    rows = zip(table.unique_ids("item_id"), titles, tags, years, strict=True)
    for item_id, full_title, item_tags, release_year in rows:
        title, year = titled(full_title)
        # A token may hold anything: RecBole's ML-100K has a year "V" for videos.
        if len(release_year) == 4 and release_year.isascii() and release_year.isdigit():
            year = int(release_year) or year
        items[item_id] = ItemText(title, item_tags, year)
    return items


def _tags(table: SourceTable, column: str, types: dict[str, str]) -> list[tuple[str, ...]]:
    """Tokens of a sequence stand between spaces, but where a file has ``|`` or ``,``: those."""
    texts = table.texts(column)
    if types[column] == "token":
        return table.real_tags(column, [clean_tags([text]) for text in texts])
    separator = next((mark for mark in "|," if any(mark in text for text in texts)), " ")
    return table.real_tags(
        column,
        [clean_tags([tag.strip(" '\"") for tag in text.split(separator)]) for text in texts],
    )
