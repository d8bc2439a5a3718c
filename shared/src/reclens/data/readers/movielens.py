"""MovieLens as its publisher ships it: 100K (``u.data``), 1M and 10M (``ratings.dat``), and what
came since, from latest-small to 32M (``ratings.csv``).

Source: the README of each archive at https://grouplens.org/datasets/movielens/.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from reclens.contracts import ColumnNames
from reclens.data.sources.columns import SourceTable, clean_tags
from reclens.data.sources.delimited import read_delimited
from reclens.data.sources.files import SourceFiles, beside, folder_of
from reclens.data.sources.findings import Reading
from reclens.data.sources.raw import ItemText, RawData, titled, with_taggers
from reclens.data.sources.times import read_times
from reclens.errors import MissingData

_RATINGS = ["userId", "movieId", "rating", "timestamp"]
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
_MOVIES = ["movieId", "title", "genres"]
_TAGS = ["userId", "movieId", "tag", "timestamp"]


class _Table(NamedTuple):
    """One file: its name, what divides cells, and its columns; None: the first line has them."""

    file: str
    delimiter: str
    names: list[str] | None

    def read(self, path: Path, reading: Reading) -> SourceTable:
        return read_delimited(
            path,
            self.delimiter,
            names=self.names,
            quoted=None if self.names is None else False,
            encoding=None if self.names is None else "latin-1",
            reading=reading,
        )


class _Layout(NamedTuple):
    """The files of a release; all but the ratings may be missing."""

    ratings: _Table
    movies: _Table
    users: _Table | None
    tags: _Table | None


_LAYOUTS = {
    layout.ratings.file: layout
    for layout in (
        _Layout(
            _Table("u.data", "\t", _RATINGS),
            _Table(
                "u.item",
                "|",
                [*_MOVIES[:2], "release_date", "video_release_date", "url", "unknown", *_GENRES],
            ),
            _Table("u.user", "|", ["userId", "age", "gender", "occupation", "zip_code"]),
            None,
        ),
        _Layout(
            _Table("ratings.dat", "::", _RATINGS),
            _Table("movies.dat", "::", _MOVIES),
            _Table("users.dat", "::", ["userId", "gender", "age", "occupation", "zip_code"]),
            _Table("tags.dat", "::", _TAGS),
        ),
        _Layout(
            _Table("ratings.csv", ",", None),
            _Table("movies.csv", ",", None),
            None,
            _Table("tags.csv", ",", None),
        ),
    )
}


def locate(path: Path, items_path: Path | None = None) -> SourceFiles:
    """Find the files in a folder, or beside ``u.data``, ``ratings.dat`` or ``ratings.csv``.

    Raises:
        MissingData: none of these is there.
    """
    folder = folder_of(path)
    for name in [path.name] if path.is_file() else _LAYOUTS:
        layout = _LAYOUTS.get(name)
        if layout is not None and (folder / name).is_file():
            movies, users, tags = (
                None if table is None else beside(chosen, folder / table.file)
                for table, chosen in (
                    (layout.movies, items_path),
                    (layout.users, None),
                    (layout.tags, None),
                )
            )
            return SourceFiles((folder / name,), movies, users, () if tags is None else (tags,))
    raise MissingData(
        f"there is neither u.data nor ratings.dat nor ratings.csv in {folder}.",
        field="source.path",
        remedy="unpack an archive of MovieLens (ml-100k.zip, ml-1m.zip, ml-32m.zip, ...) and give "
        "the folder with that file, or the file.",
    )


def read(files: SourceFiles, columns: ColumnNames) -> RawData:
    """Read MovieLens; of ``columns`` applies how cells are written.

    A movie's tags are its genres, then, where there are tags of users, the ten that most gave it.

    Raises:
        MalformedData: a row cannot be read.
    """
    reading = Reading(columns)
    (path,) = files.interactions
    layout = _LAYOUTS[path.name]
    table = layout.ratings.read(path, reading)
    table.require(*_RATINGS)
    users: dict[str, dict[str, str]] = {}
    if layout.users is not None and files.users is not None:
        users = layout.users.read(files.users, reading).attributes("userId")
    items = {} if files.items is None else _items(layout.movies.read(files.items, reading))
    if layout.tags is not None and files.tags:
        items = with_taggers(items, _taggers(layout.tags.read(files.tags[0], reading)))
    times = read_times(table, "timestamp")
    return RawData(
        user_ids=table.ids("userId"),
        item_ids=table.ids("movieId"),
        timestamps=times.seconds,
        fractions=times.fractions,
        ratings=table.ratings("rating"),
        items=items,
        users=users,
        findings=tuple(reading.findings),
    )


def _items(table: SourceTable) -> dict[str, ItemText]:
    table.require("movieId", "title")
    if "release_date" in table:
        tags = _flagged_genres(table)
        released = [date[-4:] for date in table.texts("release_date")]  # "01-Jan-1995"
    else:
        table.require("genres")
        tags = table.tags("genres", "|")
        released = [""] * len(table)
    items: dict[str, ItemText] = {}
    rows = zip(table.unique_ids("movieId"), table.described("title"), tags, released, strict=True)
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


def _taggers(table: SourceTable) -> dict[str, dict[str, frozenset[str]]]:
    """Users by movie and tag."""
    table.require(*_TAGS[:3])
    given: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    rows = zip(
        table.ids("userId").to_pylist(),
        table.ids("movieId").to_pylist(),
        table.texts("tag"),
        strict=True,
    )
    for user, movie, tag in rows:
        if tag:
            given[movie][tag].add(user)
    return {
        movie: {tag: frozenset(users) for tag, users in by_tag.items()}
        for movie, by_tag in given.items()
    }
