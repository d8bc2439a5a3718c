"""HetRec 2011 Last.fm: plays of artists, and the tags that users gave them.

Source: the README of https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip;
Cantador, Brusilovsky and Kuflik, HetRec 2011, RecSys 2011.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from reclens.contracts import ColumnNames
from reclens.data.sources.delimited import read_delimited
from reclens.data.sources.files import SourceFiles, beside, folder_of
from reclens.data.sources.findings import Reading
from reclens.data.sources.raw import ItemText, RawData, article_first, with_taggers
from reclens.errors import MissingData

_PLAYS = "user_artists.dat"
_TAGS = "tags.dat"
_TAGGINGS = "user_taggedartists*.dat"  # one table; a copy may be divided into several files
_DATED_OTHERWISE = "timestamps"  # user_taggedartists-timestamps.dat: the same rows again


def locate(path: Path, items_path: Path | None = None) -> SourceFiles:
    """Find the files in a folder, or beside ``user_artists.dat``.

    Raises:
        MissingData: the plays are not there, or tags without their names.
    """
    folder = folder_of(path)
    plays = folder / _PLAYS
    if not plays.is_file() or (path.is_file() and path.name != _PLAYS):
        raise MissingData(
            f"there is no {_PLAYS} in {folder}.",
            field="source.path",
            remedy="unpack hetrec2011-lastfm-2k.zip and give the folder with that file.",
        )
    taggings = sorted(f for f in folder.glob(_TAGGINGS) if _DATED_OTHERWISE not in f.name)
    names = beside(None, folder / _TAGS)
    if taggings and names is None:
        raise MissingData(
            f"there is no {_TAGS} in {folder}, without which {taggings[0].name} says nothing.",
            field="source.path",
            remedy=f"bring {_TAGS} of the same archive, or leave the taggings out.",
        )
    return SourceFiles(
        (plays,),
        beside(items_path, folder / "artists.dat"),
        tags=(names, *taggings) if names is not None and taggings else (),
    )


def read(files: SourceFiles, columns: ColumnNames) -> RawData:
    """Read plays as interactions, their number as rating.

    Plays have no time and no order. An artist's tags are the 10 that most users gave it; of equals
    those that more artists have, then in order of the alphabet. All its tags, with the number of
    users who gave each, are kept beside them. Of ``columns`` applies how cells are written.

    Raises:
        MalformedData: a row cannot be read, or a tag has no name.
    """
    reading = Reading(columns)
    (path,) = files.interactions
    table = read_delimited(path, "\t", reading=reading)
    table.require("userID", "artistID", "weight")
    return RawData(
        user_ids=table.ids("userID"),
        item_ids=table.ids("artistID"),
        timestamps=np.arange(len(table), dtype=np.int64),
        ratings=table.ratings("weight"),
        items=_items(files, reading),
        order="none",
        findings=tuple(reading.findings),
    )


def _items(files: SourceFiles, reading: Reading) -> dict[str, ItemText]:
    titles: dict[str, str] = {}
    if files.items is not None:
        table = read_delimited(files.items, "\t", reading=reading)
        table.require("id", "name")
        titles = dict(
            zip(table.unique_ids("id"), map(article_first, table.described("name")), strict=True)
        )
    described = {artist: ItemText(title) for artist, title in titles.items()}
    return with_taggers(described, _taggers(files.tags, reading))


def _taggers(paths: tuple[Path, ...], reading: Reading) -> dict[str, dict[str, frozenset[str]]]:
    """Users by artist and tag."""
    if not paths:
        return {}
    names_path, *taggings = paths
    table = read_delimited(names_path, "\t", encoding="latin-1", reading=reading)
    table.require("tagID", "tagValue")
    names = dict(zip(table.unique_ids("tagID"), table.texts("tagValue"), strict=True))
    given: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in taggings:
        table = read_delimited(path, "\t", reading=reading)
        table.require("userID", "artistID", "tagID")
        users, artists, tags = (
            table.ids(column).to_pylist() for column in ("userID", "artistID", "tagID")
        )
        for row, tag in enumerate(tags):
            if not names.get(tag):
                raise table.refuse(row, "tagID", f"the tag has no name in {names_path.name}")
            given[artists[row]][names[tag]].add(users[row])
    return {
        artist: {tag: frozenset(users) for tag, users in by_tag.items()}
        for artist, by_tag in given.items()
    }
