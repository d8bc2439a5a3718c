"""Plays without order, and the tags that most users gave."""

from __future__ import annotations

from pathlib import Path

import pytest

from reclens.contracts import ColumnNames
from reclens.data.readers.hetrec import locate, read
from reclens.data.sources import ItemText, RawData
from reclens.errors import MalformedData, MissingData

_TAGGINGS = "userID\tartistID\ttagID\tday\tmonth\tyear\r\n"


def _read(path: Path) -> RawData:
    return read(locate(path), ColumnNames())


def _write(folder: Path, taggings: dict[str, list[tuple[int, int, int]]], tags: list[str]) -> None:
    """Two artists; taggings are user, artist, place of the tag (from 1)."""
    (folder / "user_artists.dat").write_text(
        "userID\tartistID\tweight\r\n2\t51\t13883\r\n2\t52\t7\r\n3\t52\t1\r\n"
    )
    (folder / "artists.dat").write_text(
        "id\tname\turl\tpictureURL\n51\tSigur Rós\thttp://a\thttp://b\n52\tCher\t\t\n",
        encoding="utf-8",
    )
    names = "".join(f"{number}\t{tag}\r\n" for number, tag in enumerate(tags, start=1))
    (folder / "tags.dat").write_bytes(f"tagID\ttagValue\r\n{names}".encode("latin-1"))
    for name, rows in taggings.items():
        lines = "".join(f"{user}\t{artist}\t{tag}\t1\t4\t2009\r\n" for user, artist, tag in rows)
        (folder / name).write_text(_TAGGINGS + lines)


def test_plays_are_interactions_in_no_order(tmp_path: Path):
    _write(tmp_path, {}, ["pop"])
    raw = _read(tmp_path)
    assert raw.user_ids.to_pylist() == ["2", "2", "3"]
    assert raw.item_ids.to_pylist() == ["51", "52", "52"]
    assert raw.ratings is not None
    assert raw.ratings.tolist() == [13883, 7, 1]
    assert raw.order == "none"
    assert raw.items == {"51": ItemText("Sigur Rós"), "52": ItemText("Cher")}


def test_tags_are_ranked_by_users_then_by_artists_then_by_name(tmp_path: Path):
    # 52: "español" by two users; "pop" is also on 51, "diva" and "80s" are not.
    taggings = [(2, 52, 2), (3, 52, 2), (2, 52, 1), (2, 52, 3), (2, 52, 4), (2, 51, 1)]
    _write(tmp_path, {"user_taggedartists.dat": taggings}, ["pop", "español", "diva", "80s"])
    items = _read(tmp_path).items
    assert items["52"].tags == ("español", "pop", "80s", "diva")
    assert items["52"].tag_users == {"80s": 1, "diva": 1, "español": 2, "pop": 1}
    assert items["51"].tags == ("pop",)


def test_ten_tags_are_kept_and_all_are_counted(tmp_path: Path):
    tags = [f"tag {letter}" for letter in "lkjihgfedcba"]
    _write(tmp_path, {"user_taggedartists.dat": [(2, 51, t) for t in range(1, 13)]}, tags)
    item = _read(tmp_path).items["51"]
    assert item.tags == tuple(f"tag {letter}" for letter in "abcdefghij")
    assert len(item.tag_users) == 12


def test_one_table_in_several_files_is_read_as_one(tmp_path: Path):
    _write(
        tmp_path,
        {
            "user_taggedartists.dat": [(2, 51, 1)],
            "user_taggedartists_2.dat": [(3, 51, 1), (2, 51, 1)],
            "user_taggedartists-timestamps.dat": [(4, 51, 1)],  # the same again in the archive
        },
        ["pop"],
    )
    # A user who says it twice is one user.
    assert _read(tmp_path).items["51"].tag_users == {"pop": 2}


def test_a_tag_without_a_name_is_located(tmp_path: Path):
    _write(tmp_path, {"user_taggedartists.dat": [(2, 51, 1), (2, 51, 9)]}, ["pop"])
    with pytest.raises(
        MalformedData, match=r"user_taggedartists.dat, line 3, column 'tagID': .* tags.dat, got '9'"
    ):
        _read(tmp_path)


def test_taggings_without_names_are_refused(tmp_path: Path):
    _write(tmp_path, {"user_taggedartists.dat": [(2, 51, 1)]}, ["pop"])
    (tmp_path / "tags.dat").unlink()
    with pytest.raises(MissingData, match=r"no tags.dat in .* user_taggedartists.dat says nothing"):
        locate(tmp_path)


def test_a_folder_without_plays_is_refused(tmp_path: Path):
    with pytest.raises(MissingData, match=r"no user_artists.dat"):
        locate(tmp_path)
