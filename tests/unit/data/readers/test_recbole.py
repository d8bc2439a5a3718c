"""RecBole's atomic files: typed headers, several names for titles and genres."""

from __future__ import annotations

from pathlib import Path

import pytest

from reclens.contracts import ColumnNames
from reclens.data.readers.recbole import locate, read
from reclens.data.sources import ItemText, RawData
from reclens.errors import MalformedData, MissingData

_INTER = (
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\ta\t3\t10.0\nv\tb\t4.5\t20\n"
)


def _write(folder: Path, inter: str = _INTER, **others: str) -> Path:
    (folder / "d.inter").write_text(inter, encoding="utf-8")
    for suffix, text in others.items():
        (folder / f"d.{suffix}").write_text(text, encoding="utf-8")
    return folder


def _read(path: Path) -> RawData:
    return read(locate(path), ColumnNames())


def test_interactions_items_and_users_are_read(tmp_path: Path):
    _write(
        tmp_path,
        item="item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "a\tGodfather, The\t1972\tCrime Drama\nb\tunkonwn\tunkonwn\tunknown\n"
        "c\tLand Before Time (1995)\tV\tChildren's\n",
        user="user_id:token\tage:token\tgender:token\nu\t24\tM\nv\t\tF\n",
    )
    raw = _read(tmp_path)
    assert raw.user_ids.to_pylist() == ["u", "v"]
    assert raw.item_ids.to_pylist() == ["a", "b"]
    assert raw.timestamps.tolist() == [10, 20]
    assert raw.ratings is not None
    assert raw.ratings.tolist() == [3, 4.5]
    assert raw.items == {
        "a": ItemText("The Godfather", ("Crime", "Drama"), 1972),
        "b": ItemText(),
        "c": ItemText("Land Before Time", ("Children's",), 1995),
    }
    assert raw.users == {"u": {"age": "24", "gender": "M"}, "v": {"gender": "F"}}


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("title:token_seq\tgenre:token_seq", "Heat\tCrime Film-Noir", ("Crime", "Film-Noir")),
        (
            "name:token_seq\tgenres:token_seq",
            "Heat\tFree to Play, Crime",
            ("Free to Play", "Crime"),
        ),
        (
            "title:token\tcategories:token_seq",
            "Heat\t'Home & Kitchen', 'X'",
            ("Home & Kitchen", "X"),
        ),
        ("title:token\tcategories:token", "Heat\tFree to Play", ("Free to Play",)),
        ("title:token\tclass:token_seq", "Heat\tA b|C", ("A b", "C")),
    ],
)
def test_titles_and_tags_go_by_several_names(tmp_path: Path, header: str, cells: str, expected):
    _write(tmp_path, item=f"item_id:token\t{header}\na\t{cells}\n")
    assert _read(tmp_path).items == {"a": ItemText("Heat", expected)}


def test_without_time_rows_are_in_order(tmp_path: Path):
    raw = _read(_write(tmp_path, "user_id:token\titem_id:token\nu\tb\nu\ta\n"))
    assert raw.timestamps.tolist() == [0, 1]
    assert raw.ratings is None


def test_of_several_files_the_folders_own_is_read(tmp_path: Path):
    folder = tmp_path / "d"
    folder.mkdir()
    _write(folder)
    (folder / "other.inter").write_text("user_id:token\titem_id:token\nx\ty\n")
    assert _read(folder).user_ids.to_pylist() == ["u", "v"]
    assert _read(folder / "other.inter").user_ids.to_pylist() == ["x"]
    (folder / "d.inter").unlink()
    (folder / "third.inter").write_text("user_id:token\titem_id:token\n")
    with pytest.raises(MissingData, match=r"no single .inter file"):
        locate(folder)


@pytest.mark.parametrize(
    ("inter", "message"),
    [
        (
            "user_id:token\titem_id:token\ttimestamp:float\nu\ta\tx\n",
            "d.inter, line 2, .*'timestamp'",
        ),
        (
            "user_id:token\ttimestamp:float\nu\t1\n",
            "line 1, column 'item_id': the column is missing",
        ),
        ("user_id\titem_id\nu\ta\n", "line 1, column 1: a header is name:type"),
        ("user_id:token\titem_id:int\nu\ta\n", "line 1, column 2: a header is name:type"),
        ("user_id:token\tuser_id:float\nu\t1\n", "line 1, column 2: a header is name:type, once"),
        (
            "user_id:token\titem_id:token\nu\ta\nu\n",
            "line 3: expected 2 fields",
        ),
        ("user_id:token\titem_id:token\nu\t\n", "line 2, column 'item_id': the id is empty"),
    ],
)
def test_a_malformed_row_or_header_is_named(tmp_path: Path, inter: str, message: str):
    with pytest.raises(MalformedData, match=message):
        _read(_write(tmp_path, inter))
