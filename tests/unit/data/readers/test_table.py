"""Tables of one's own: CSV in several dialects, Parquet, columns by name."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reclens.contracts import ColumnNames
from reclens.data.readers.table import locate, read
from reclens.data.sources import ItemText, RawData
from reclens.errors import InvalidSpec, MalformedData, MissingData, NotFound

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


# --- lines of JSON, files without names, kinds of feedback ---------------------------------------


def _any(path: Path, items_path: Path | None = None, **columns: Any) -> RawData:
    return read(locate(path, items_path), ColumnNames.parse(columns))


def test_lines_of_json_are_read_with_their_types(tmp_path: Path):
    path = tmp_path / "reviews.jsonl.gz"
    lines = (
        '{"user_id": "A", "parent_asin": "P", "timestamp": 1588687728923, "rating": 4.5}\n\n'
        '{"user_id": 7, "parent_asin": "Q", "timestamp": 1588687728924, "rating": 1}\n'
    )
    path.write_bytes(gzip.compress(lines.encode()))
    meta = tmp_path / "meta.jsonl"
    meta.write_text(
        '{"parent_asin": "P", "title": "Caf\\u00e9", "categories": [["Hair", "Oil"], ["Hair"]]}\n'
        '{"parent_asin": "Q", "title": null}\n'
    )
    raw = _any(path, meta, item="parent_asin", rating="rating", tags="categories")
    assert raw.user_ids.to_pylist() == ["A", "7"]
    assert raw.timestamps.tolist() == [1588687728, 1588687728]
    assert raw.fractions is not None
    assert raw.fractions.tolist() == pytest.approx([0.923, 0.924])
    assert raw.ratings is not None
    assert raw.ratings.tolist() == [4.5, 1]
    assert raw.items == {"P": ItemText("Café", ("Hair", "Oil")), "Q": ItemText()}


def test_one_list_of_objects_is_read_too(tmp_path: Path):
    path = tmp_path / "interactions.json"
    path.write_text('[{"user_id": "u", "item_id": "a", "timestamp": 5}]')
    assert _any(tmp_path).item_ids.to_pylist() == ["a"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"user_id": "u"}\n{"user_id": hunter2}\n', "line 2: a line that is no JSON"),
        ("{'user_id': 'u'}\n{'user_id': hunter2}\n", "line 2: a line that is no JSON"),
        ('{"user_id": "u"}\n"hunter2"\n', "line 2: a line that is no object"),
        ("[1, hunter2]", "line 1: a list that is no JSON"),
        ('{"user_id": "u", "item_id": "a"}\n{"item_id": "b"}\n', "line 2, column 'user_id'"),
    ],
)
def test_lines_that_are_no_objects_are_refused_and_not_quoted(tmp_path: Path, text: str, told: str):
    (tmp_path / "interactions.jsonl").write_text(text)
    with pytest.raises(MalformedData, match=told) as caught:
        _any(tmp_path, timestamp=None)
    assert "hunter2" not in str(caught.value)


def test_rows_within_objects_keep_the_fields_around_them(tmp_path: Path):
    path = tmp_path / "interactions.jsonl"
    path.write_text(
        "{'user_id': 'u', 'items': [{'item_id': '1', 'name': 'Strike'}, {'item_id': '2'}]}\n"
        "{'user_id': 'v', 'items': [{'item_id': '1', 'name': 'Strike!'}]}\n{'user_id': 'w'}\n"
    )
    raw = _any(path, timestamp=None, rows_in="items", title="name")
    assert raw.user_ids.to_pylist() == ["u", "u", "v"]
    assert raw.items == {"1": ItemText("Strike"), "2": ItemText()}
    told = [(f.code, f.level, f.count, f.line) for f in raw.findings]
    assert ("titles-that-differ", "warning", 1, 2) in told
    path.write_text("{'user_id': 'u', 'items': 3}\n")
    with pytest.raises(MalformedData, match=r"line 1: .*rows_in is no list of objects"):
        _any(path, timestamp=None, rows_in="items")


def test_columns_of_a_file_without_names_are_named(tmp_path: Path):
    path = tmp_path / "checkins.txt"
    path.write_text("0\t2010-10-19T23:55:27Z\t22847\n0\t2010-10-18T22:17:43Z\t7\n")
    named = {"names": ["who", "when", "where"], "user": "who", "item": "where", "timestamp": "when"}
    # date -u -d 2010-10-19T23:55:27Z +%s
    assert _any(path, **named).timestamps.tolist() == [1287532527, 1287440263]
    with pytest.raises(MalformedData, match="line 1: expected 2 fields, found 3"):
        _any(path, **named | {"names": ["who", "where"], "timestamp": None})


def test_kinds_of_feedback_are_taken_that_are_kept(tmp_path: Path):
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,event\nu,a,view\nu,b,buy\nv,c,like\nv,,view\n")
    kinds = {"column": "event", "keep": ["buy", "like"]}
    raw = _any(path, timestamp=None, feedback=kinds)
    assert raw.item_ids.to_pylist() == ["b", "c"]
    assert raw.ratings is None
    assert [(f.code, f.count, f.line) for f in raw.findings] == [("other-kinds", 2, 2)]
    weighed = _any(path, timestamp=None, feedback=kinds | {"weights": {"like": 1, "buy": 5}})
    assert weighed.ratings is not None
    assert weighed.ratings.tolist() == [5, 1]
    with pytest.raises(NotFound, match=r"(?s)no row is of the kind 'buys'.*did you mean buy"):
        _any(path, timestamp=None, feedback={"column": "event", "keep": ["buys"]})
    with pytest.raises(InvalidSpec, match="weights are given for all kinds"):
        _any(path, feedback=kinds | {"weights": {"like": 1}})


def test_tags_may_be_in_several_columns(tmp_path: Path):
    (tmp_path / "interactions.csv").write_text(_INTERACTIONS)
    (tmp_path / "items.csv").write_text(
        "item_id,title,genres,keywords\na,Heat,Crime|Drama,heist|Crime\n"
    )
    raw = _any(tmp_path, tags=["genres", "keywords"])
    assert raw.items["a"].tags == ("Crime", "Drama", "heist")
    with pytest.raises(MalformedData, match="column 'moods'"):
        _any(tmp_path, tags=["genres", "moods"])
