"""Tables of one's own: CSV in several dialects, Parquet, columns by name."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reclens.contracts import ColumnNames
from reclens.data.readers.table import locate, read
from reclens.data.sources import ItemText, RawData
from reclens.errors import MalformedData, MissingData

_INTERACTIONS = "user_id,item_id,timestamp\nu,a,1\n"


def _read(path: Path, items_path: Path | None = None, **columns: str | None) -> RawData:
    return read(locate(path, items_path), ColumnNames(**columns))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str):
    path = tmp_path / "any.txt"
    path.write_text(f"user_id,item_id,timestamp\nu,'{'a'}',5\n".replace(",", delimiter))
    raw = _read(path)
    assert raw.item_ids.to_pylist() == ["'a'"]
    assert raw.timestamps.tolist() == [5]


def test_columns_go_by_the_names_given(tmp_path: Path):
    (tmp_path / "plays.dat").write_text("userID\tartistID\tweight\n2\t51\t13883\n2\t52\t11690\n")
    (tmp_path / "artists.dat").write_text("id\tname\turl\n51\tDuran Duran\tx\n52\tMorcheeba\ty\n")
    raw = _read(
        tmp_path / "plays.dat",
        tmp_path / "artists.dat",
        user="userID",
        item="artistID",
        item_key="id",
        timestamp=None,
        rating="weight",
        title="name",
        tags=None,
    )
    assert raw.timestamps.tolist() == [0, 1]
    assert raw.ratings is not None
    assert raw.ratings.tolist() == [13883, 11690]
    assert raw.items == {"51": ItemText("Duran Duran"), "52": ItemText("Morcheeba")}


def test_items_and_users_are_found_beside(tmp_path: Path):
    (tmp_path / "interactions.csv").write_text(_INTERACTIONS)
    (tmp_path / "items.csv").write_text(
        'item_id,title,tags,made\na,"Heat, again (1996)","Crime; Drama",1995\nb,Ronin (1998),,\n'
    )
    (tmp_path / "users.csv").write_text("user_id,gender\nu,F\n")
    raw = _read(tmp_path, tag_separator=";", year="made")
    assert raw.items == {
        "a": ItemText("Heat, again (1996)", ("Crime", "Drama"), 1995),
        "b": ItemText("Ronin", (), 1998),
    }
    assert raw.users == {"u": {"gender": "F"}}


def test_parquet_is_read_with_its_types(tmp_path: Path):
    pq.write_table(
        pa.table({"user_id": [3, 4], "item_id": ["x", "y"], "timestamp": [1.5, 2.5]}),
        tmp_path / "interactions.parquet",
    )
    pq.write_table(
        pa.table({"item_id": ["x"], "title": ["Heat"], "tags": [["Crime", "Drama"]]}),
        tmp_path / "items.parquet",
    )
    raw = _read(tmp_path)
    assert raw.user_ids.to_pylist() == ["3", "4"]
    assert raw.timestamps.tolist() == [1, 2]
    assert raw.items == {"x": ItemText("Heat", ("Crime", "Drama"))}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user": "who"}, "line 1, column 'who': .*source.columns"),
        ({"timestamp": "when"}, "column 'when': .*source.columns.timestamp, or set it to null"),
        ({"rating": "stars"}, "column 'stars': .*source.columns.rating"),
        ({"title": "name"}, "items.csv, line 1, column 'name': .*source.columns.title"),
        ({"item_key": "key"}, "items.csv, line 1, column 'key': .*source.columns.item_key"),
    ],
)
def test_a_missing_column_names_the_setting(tmp_path: Path, columns, message: str):
    (tmp_path / "interactions.csv").write_text(_INTERACTIONS)
    (tmp_path / "items.csv").write_text("item_id,title,tags\na,Heat,\n")
    with pytest.raises(MalformedData, match=f"(?s){message}"):
        _read(tmp_path, **columns)


def test_missing_files_are_named(tmp_path: Path):
    with pytest.raises(MissingData, match=r"(?s)no interactions file in .*Remedy: name it"):
        locate(tmp_path)
    (tmp_path / "interactions.csv").write_text(_INTERACTIONS)
    with pytest.raises(MissingData, match=r"source.items_path: there is no file .*films.csv"):
        locate(tmp_path, tmp_path / "films.csv")


# --- items ---------------------------------------------------------------------------------------


def _codes(raw: RawData) -> list[tuple[str, str]]:
    return [(finding.code, finding.level) for finding in raw.findings]


def test_columns_of_items_that_nobody_named_may_be_missing(tmp_path: Path):
    (tmp_path / "interactions.csv").write_text(_INTERACTIONS)
    (tmp_path / "items.csv").write_text("item_id,title\na,Heat\n")
    raw = _read(tmp_path)
    assert raw.items == {"a": ItemText("Heat")}
    assert _codes(raw)[1:] == [("no-column", "note")]
    assert "'tags'" in raw.findings[1].message
    (tmp_path / "items.csv").write_text("item_id,name,genres\na,Heat,Crime\n")
    assert ("items-without-columns", "warning") in _codes(_read(tmp_path))


@pytest.mark.parametrize(
    "columns", [{"tags": "genres"}, {"title": "name"}, {"item_key": "id"}, {"year": "made"}]
)
def test_names_of_columns_of_items_without_their_file_are_refused(tmp_path: Path, columns):
    (tmp_path / "interactions.csv").write_text(_INTERACTIONS)
    (tmp_path / "films.csv").write_text("item_id,title\na,Heat\n")
    (role,) = columns
    with pytest.raises(MissingData, match=rf"(?s)items_path: columns.{role} names .*films.csv"):
        _read(tmp_path, **columns)
    assert _read(tmp_path, title=None, tags=None).items == {}


def test_the_items_of_movielens_are_found_by_their_name(tmp_path: Path):
    (tmp_path / "ratings.csv").write_text("userId,movieId,timestamp\n1,1,964982703\n")
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\n1,"Usual Suspects, The (1995)",(no genres listed)\n'
    )
    raw = _read(tmp_path / "ratings.csv", user="userId", item="movieId", tags="genres")
    assert raw.items == {"1": ItemText("The Usual Suspects", (), 1995)}
    assert _codes(raw) == [("placeholders", "note")]


def test_packed_tables_are_found_and_read(tmp_path: Path):
    (tmp_path / "interactions.csv.gz").write_bytes(gzip.compress(_INTERACTIONS.encode()))
    (tmp_path / "items.tsv.gz").write_bytes(gzip.compress(b"item_id\ttitle\na\tHeat\n"))
    raw = _read(tmp_path)
    assert raw.user_ids.to_pylist() == ["u"]
    assert raw.items == {"a": ItemText("Heat")}
