"""MovieLens as its publisher ships it: 100K (``u.data``) and 1M (``ratings.dat``).

Source: the README of each archive at https://grouplens.org/datasets/movielens/.
"""

from __future__ import annotations

from pathlib import Path

from reclens.contracts import ColumnNames
from reclens.data.sources.columns import SourceTable, clean_tags
from reclens.data.sources.delimited import read_delimited
from reclens.data.sources.files import SourceFiles, beside, folder_of
from reclens.data.sources.findings import Reading
from reclens.data.sources.raw import ItemText, RawData, titled
from reclens.data.sources.times import read_times
from reclens.errors import MissingData

_BESIDE = {"u.data": ("u.item", "u.user"), "ratings.dat": ("movies.dat", "users.dat")}
"""Files of items and of users beside that of the ratings."""
_INTERACTIONS = ["user_id", "item_id", "rating", "timestamp"]
_GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
_ITEMS_100K = ["item_id", "title", "release_date", "video_release_date", "url", "unknown", *_GENRES]
_USERS_100K = ["user_id", "age", "gender", "occupation", "zip_code"]
_ITEMS_1M = ["item_id", "title", "genres"]
_USERS_1M = ["user_id", "gender", "age", "occupation", "zip_code"]


def locate(path: Path, items_path: Path | None = None) -> SourceFiles:
    """Find the files in a folder, or beside ``u.data`` or ``ratings.dat``.

    Raises:
        MissingData: neither is there.
    """
    folder = folder_of(path)
    chosen = ["ratings.dat"] if path.is_file() and path.name != "u.data" else list(_BESIDE)
    for name in chosen:
        items, users = _BESIDE[name]
        if (folder / name).is_file():
            return SourceFiles(
                (folder / name,), beside(items_path, folder / items), beside(None, folder / users)
            )
    raise MissingData(
        f"there is neither u.data nor ratings.dat in {folder}.",
        field="source.path",
        remedy="unpack ml-100k.zip or ml-1m.zip of MovieLens and give the folder with that file.",
    )


def read(files: SourceFiles, columns: ColumnNames) -> RawData:
    """Read MovieLens; of ``columns`` applies how cells are written.

    Raises:
        MalformedData: a row cannot be read.
    """
    reading = Reading(columns)
    (path,) = files.interactions
    is_100k = path.name == "u.data"
    table = read_delimited(
        path, "\t" if is_100k else "::", names=_INTERACTIONS, encoding="latin-1", reading=reading
    )
    users = None
    if files.users is not None:
        delimiter, names = ("|", _USERS_100K) if is_100k else ("::", _USERS_1M)
        users = read_delimited(
            files.users, delimiter, names=names, encoding="latin-1", reading=reading
        )
    times = read_times(table, "timestamp")
    return RawData(
        user_ids=table.ids("user_id"),
        item_ids=table.ids("item_id"),
        timestamps=times.seconds,
        fractions=times.fractions,
        ratings=table.ratings("rating"),
        items=_items(files.items, is_100k, reading),
        users={} if users is None else users.attributes("user_id"),
        findings=tuple(reading.findings),
    )


def _items(path: Path | None, is_100k: bool, reading: Reading) -> dict[str, ItemText]:
    if path is None:
        return {}
    if is_100k:
        table = read_delimited(path, "|", names=_ITEMS_100K, encoding="latin-1", reading=reading)
        tags = _flagged_genres(table)
        released = [date[-4:] for date in table.texts("release_date")]  # "01-Jan-1995"
    else:
        table = read_delimited(path, "::", names=_ITEMS_1M, encoding="latin-1", reading=reading)
        tags = table.tags("genres", "|")
        released = [""] * len(table)
    items: dict[str, ItemText] = {}
    rows = zip(table.unique_ids("item_id"), table.described("title"), tags, released, strict=True)
    for item_id, full_title, genres, release_year in rows:
        title, year = titled(full_title)
        if year is None and release_year.isdigit():
            year = int(release_year)
        items[item_id] = ItemText(title, genres, year)
    return items


def _flagged_genres(table: SourceTable) -> list[tuple[str, ...]]:
    flags = [table.flags(genre) for genre in _GENRES]
    return [
        clean_tags([genre for genre, flag in zip(_GENRES, row, strict=True) if flag])
        for row in zip(*flags, strict=True)
    ]
