"""A data set survives its tables, and tables that lie are refused."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reclens.data import Dataset, Interactions, Items, Split, Users, read_dataset, write_dataset
from reclens.errors import MalformedData, MissingData, NotFound


def _dataset(rating: list[float] | None = None) -> Dataset:
    return Dataset(
        Interactions(
            np.array([0, 0, 0, 1], dtype=np.int32),
            np.array([1, 0, 1, 0], dtype=np.int32),
            np.array([10, 20, 20, 5], dtype=np.int64),
            None if rating is None else np.array(rating, dtype=np.float32),
            np.array([0, 1, 2, 0], dtype=np.uint8),
        ),
        Items(
            ["7", "x"],
            ["Heat", ""],
            [["Crime", "Action"], []],
            [1995, None],
            np.array([1, 1], dtype=np.int32),
        ),
        Users(["ann", "2"], [{"gender": "F", "age": "30"}, {}]),
    )


def _assert_equal(a: Dataset, b: Dataset) -> None:
    for name in ("user_index", "item_index", "timestamp", "split"):
        left, right = getattr(a.interactions, name), getattr(b.interactions, name)
        assert left.dtype == right.dtype
        assert left.tolist() == right.tolist()
    if a.interactions.rating is None or b.interactions.rating is None:
        assert a.interactions.rating is b.interactions.rating
    else:
        assert a.interactions.rating.dtype == b.interactions.rating.dtype == np.float32
        assert a.interactions.rating.tolist() == b.interactions.rating.tolist()
    for name in ("ids", "titles", "tags", "years"):
        assert getattr(a.items, name) == getattr(b.items, name)
    assert a.items.popularity.dtype == b.items.popularity.dtype
    assert a.items.popularity.tolist() == b.items.popularity.tolist()
    assert a.users.ids == b.users.ids
    assert a.users.attributes == b.users.attributes


@pytest.mark.parametrize("rating", [None, [1, 2.5, 3, 5]])
def test_what_is_written_is_read(tmp_path: Path, rating: list[float] | None):
    dataset = _dataset(rating)
    assert write_dataset(dataset, tmp_path / "new" / "folder") == [
        "interactions.parquet",
        "items.parquet",
        "users.parquet",
    ]
    _assert_equal(read_dataset(tmp_path / "new" / "folder"), dataset)


def test_the_same_data_set_has_the_same_bytes(tmp_path: Path):
    names = write_dataset(_dataset([1, 2, 3, 4]), tmp_path / "a")
    write_dataset(_dataset([1, 2, 3, 4]), tmp_path / "b")
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_tables_are_readable_by_duckdb_as_described(tmp_path: Path):
    write_dataset(_dataset(), tmp_path)
    tables = {
        name: duckdb.sql(f"select * from '{tmp_path}/{name}.parquet'")
        for name in ("interactions", "items", "users")
    }
    described = {
        name: dict(zip(table.columns, map(str, table.types), strict=True))
        for name, table in tables.items()
    }
    assert described == {
        "interactions": {
            "user_index": "INTEGER",
            "item_index": "INTEGER",
            "timestamp": "BIGINT",
            "rating": "FLOAT",
            "split": "VARCHAR",
        },
        "items": {
            "item_id": "VARCHAR",
            "title": "VARCHAR",
            "tags": "VARCHAR[]",
            "year": "SMALLINT",
            "popularity": "INTEGER",
        },
        "users": {"user_id": "VARCHAR", "attributes": "MAP(VARCHAR, VARCHAR)"},
    }
    assert tables["interactions"].fetchall()[1] == (0, 0, 20, None, "valid")
    assert tables["items"].fetchall()[0] == ("7", "Heat", ["Crime", "Action"], 1995, 1)
    assert tables["users"].fetchall()[0] == ("ann", {"gender": "F", "age": "30"})


def test_history_is_oldest_first_within_the_splits_asked_for():
    dataset = _dataset()
    assert dataset.history(0).tolist() == [1, 0, 1]
    assert dataset.history(0).dtype == np.int64
    assert dataset.history(0, (Split.TRAIN, Split.TEST)).tolist() == [1, 1]
    assert dataset.history(1, (Split.VALID,)).tolist() == []


@pytest.mark.parametrize("user_index", [-1, 2])
def test_history_of_nobody_is_refused(user_index: int):
    with pytest.raises(NotFound, match=rf"user_index: there is no user {user_index} among 2"):
        _dataset().history(user_index)


def test_ids_are_found_and_strangers_are_not():
    dataset = _dataset()
    assert dataset.items.index_of("x") == 1
    assert dataset.users.index_of("2") == 1
    with pytest.raises(NotFound, match=r"item_id: there is no item 'y'"):
        dataset.items.index_of("y")
    with pytest.raises(NotFound, match=r"user_id: there is no user 'bob'"):
        dataset.users.index_of("bob")


def test_a_missing_table_is_named(tmp_path: Path):
    write_dataset(_dataset(), tmp_path)
    (tmp_path / "items.parquet").unlink()
    with pytest.raises(MissingData, match=r"there is no items.parquet in"):
        read_dataset(tmp_path)


def _replace(folder: Path, name: str, **columns: pa.Array) -> None:
    write_dataset(_dataset(), folder)
    table = pq.ParquetFile(folder / name).read()
    for column, values in columns.items():
        table = table.set_column(table.column_names.index(column), column, values)
    pq.write_table(table, folder / name)


@pytest.mark.parametrize(
    ("column", "values", "problem"),
    [
        ("user_index", [0, 0, 1, 0], "not sorted"),
        ("timestamp", [20, 10, 20, 5], "not sorted"),
        ("user_index", [0, 0, 0, 2], "line 4, column 'user_index': an index is from 0 to 1, got 2"),
        ("item_index", [1, -1, 1, 0], "line 2, column 'item_index'"),
        ("rating", [1.0, None, 1.0, 1.0], "some ratings are null"),
        ("split", ["train", "dev", "test", "train"], "'dev' is not one of train, valid, test"),
        ("split", ["train", None, "test", "train"], "split"),
        ("timestamp", ["a", "b", "c", "d"], "does not have the layout"),
        ("item_index", [1, None, 1, 0], "does not have the layout"),
    ],
)
def test_interactions_that_lie_are_refused(tmp_path: Path, column, values, problem: str):
    _replace(tmp_path, "interactions.parquet", **{column: pa.array(values)})
    with pytest.raises(MalformedData, match=problem):
        read_dataset(tmp_path)


def test_a_table_without_a_column_is_refused(tmp_path: Path):
    write_dataset(_dataset(), tmp_path)
    table = pq.ParquetFile(tmp_path / "items.parquet").read()
    pq.write_table(table.drop_columns(["tags"]), tmp_path / "items.parquet")
    with pytest.raises(MalformedData, match=r"items.parquet: it does not have the layout.*tags"):
        read_dataset(tmp_path)


def test_tables_of_other_tools_are_read_by_their_values(tmp_path: Path):
    _replace(tmp_path, "interactions.parquet", item_index=pa.array([1, 0, 1, 0], pa.int64()))
    _assert_equal(read_dataset(tmp_path), _dataset())


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def _datasets(draw: st.DrawFn) -> Dataset:
    n_users, n_items = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, n_users - 1),
                st.integers(-(2**63), 2**63 - 1),
                st.integers(0, n_items - 1),
                st.floats(width=32, allow_nan=False),
                st.integers(0, 2),
            ),
            min_size=1,
            max_size=20,
        ).map(sorted)
    )
    user, time, item, rating, split = (list(column) for column in zip(*rows, strict=True))
    ids = st.lists(_TEXT.filter(bool), min_size=n_items, max_size=n_items, unique=True)
    several = lambda of: st.lists(of, min_size=n_items, max_size=n_items)  # noqa: E731
    return Dataset(
        Interactions(
            np.array(user, dtype=np.int32),
            np.array(item, dtype=np.int32),
            np.array(time, dtype=np.int64),
            draw(st.sampled_from([None, np.array(rating, dtype=np.float32)])),
            np.array(split, dtype=np.uint8),
        ),
        Items(
            draw(ids),
            draw(several(_TEXT)),
            draw(several(st.lists(_TEXT, max_size=3))),
            draw(several(st.none() | st.integers(0, 9999))),
            np.array(draw(several(st.integers(0, 2**31 - 1))), dtype=np.int32),
        ),
        Users(
            [f"u{i}" for i in range(n_users)],
            [draw(st.dictionaries(_TEXT, _TEXT, max_size=3)) for _ in range(n_users)],
        ),
    )


@given(_datasets())
@settings(deadline=None, max_examples=30)
def test_any_data_set_survives(dataset: Dataset):
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(dataset, Path(folder))
        _assert_equal(read_dataset(Path(folder)), dataset)


def test_who_gave_which_tag_is_a_table_of_its_own(tmp_path: Path):
    dataset = _dataset()
    tagged = replace(dataset, items=replace(dataset.items, tag_users=[{"b": 2, "a": 1}, {}]))
    assert write_dataset(dataset, tmp_path / "without")[-1] == "users.parquet"
    assert read_dataset(tmp_path / "without").items.tag_users is None
    assert write_dataset(tagged, tmp_path / "with")[-1] == "item_tags.parquet"
    assert read_dataset(tmp_path / "with").items.tag_users == [{"a": 1, "b": 2}, {}]
    rows = duckdb.sql(f"select * from '{tmp_path / 'with' / 'item_tags.parquet'}'").fetchall()
    assert rows == [(0, "a", 1), (0, "b", 2)]


def test_tags_of_an_item_that_is_not_there_are_refused(tmp_path: Path):
    dataset = _dataset()
    write_dataset(replace(dataset, items=replace(dataset.items, tag_users=[{}, {}])), tmp_path)
    path = tmp_path / "item_tags.parquet"
    schema = pq.read_schema(path)
    pq.write_table(pa.table([[2], ["a"], [1]], schema=schema), path)
    with pytest.raises(MalformedData, match=r"item_tags.parquet, line 1, column 'item_index'"):
        read_dataset(tmp_path)
