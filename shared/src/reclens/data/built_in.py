"""How the files of built-in data sets are called, and which reader reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reclens.contracts import SourceSpec
from reclens.errors import MissingData


@dataclass(frozen=True)
class Layout:
    """One way in which a data set is published."""

    format: Literal["movielens", "recbole", "rechorus", "sequences", "hetrec"]
    """Reader, as in ``SourceSpec``."""
    files: tuple[str, ...]
    """Files that must be there; the first has the interactions."""


LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "ml-100k": (
        Layout("movielens", ("u.data", "u.item", "u.user")),
        Layout("recbole", ("ml-100k.inter", "ml-100k.item", "ml-100k.user")),
    ),
    "ml-1m": (Layout("movielens", ("ratings.dat", "movies.dat", "users.dat")),),
    "grocery": (Layout("rechorus", ("train.csv", "item_meta.csv")),),
    "yelp": (Layout("sequences", ("Yelp.txt", "Yelp.item.json")),),
    "lastfm-2k": (
        Layout("hetrec", ("user_artists.dat", "artists.dat", "tags.dat", "user_taggedartists.dat")),
    ),
}
"""By the name of the data set; the first layout of which all files are there is read."""


def built_in_source(name: str, folder: Path) -> SourceSpec:
    """What reads the built-in data set ``name`` from ``folder``.

    Raises:
        MissingData: the folder lacks a file; the message names those that are missing.
    """
    lacking: list[str] = []
    for layout in LAYOUTS[name]:
        missing = [file for file in layout.files if not (folder / file).is_file()]
        if not missing:
            # The file, not the folder: whatever else lies there does not change the data set.
            return SourceSpec(format=layout.format, path=str(folder / layout.files[0]))
        lacking.append(", ".join(missing))
    raise MissingData(
        f"{folder} is not a folder with {name}: it lacks {'; or '.join(lacking)}.",
        field="path",
        remedy="give the folder that has "
        f"{', or '.join(', '.join(layout.files) for layout in LAYOUTS[name])}.",
    )
