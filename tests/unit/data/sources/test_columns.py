"""Columns convert whole, and the cell that does not is found."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reclens.data.sources.columns import SourceTable
from reclens.errors import MalformedData


def _table(values: pa.Array | list[str]) -> SourceTable:
    column = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    return SourceTable("f.csv", {"c": column}, lambda row: row + 2)


def test_ids_lose_surrounding_white_space_only():
    assert _table([" 07", "a b "]).ids("c").to_pylist() == ["07", "a b"]


def test_integer_ids_become_text():
    assert _table(pa.array([7, 12])).ids("c").to_pylist() == ["7", "12"]


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_id_is_refused(empty: str):
    with pytest.raises(MalformedData, match=r"f.csv, line 3, column 'c': the id is empty"):
        _table(["1", empty]).ids("c")


def test_an_id_that_comes_twice_is_refused():
    with pytest.raises(MalformedData, match=r"line 4, .* a second time, got 'b'"):
        _table(["a", "b", "b"]).unique_ids("c")


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_first_of_several_bad_cells_is_found(first: int, second: int):
    values = ["0.5"] * 61
    values[first] = values[second] = "x"
    with pytest.raises(MalformedData, match=rf"line {min(first, second) + 2},"):
        _table(values).ratings("c")


def test_ratings_are_float32():
    ratings = _table(["3", "4.5"]).ratings("c")
    assert ratings.dtype == np.float32
    assert ratings.tolist() == [3.0, 4.5]


def test_years_may_be_missing_and_may_be_written_as_floats():
    assert _table(["1995", "", "1996.0"]).years("c") == [1995, None, 1996]


@pytest.mark.parametrize("bad", ["95AD", "-3", "12345", "1995.5"])
def test_a_year_that_is_none_is_refused(bad: str):
    with pytest.raises(MalformedData, match=r"line 2, column 'c': not a year"):
        _table([bad]).years("c")


def test_tags_are_divided_stripped_and_distinct():
    assert _table(["Drama| War |Drama", "", "|"]).tags("c", "|") == [("Drama", "War"), (), ()]


def test_tags_of_a_list_column_are_taken_as_they_are():
    column = pa.array([["a|b", "c"], None])
    assert _table(column).tags("c", "|") == [("a|b", "c"), ()]


def test_a_flag_that_is_neither_is_refused():
    assert _table(["0", "1"]).flags("c").tolist() == [False, True]
    with pytest.raises(MalformedData, match=r"line 3, .* neither 0 nor 1, got '2'"):
        _table(["0", "2"]).flags("c")


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(MalformedData) as caught:
        _table(["x" * 1000]).ratings("c")
    assert len(str(caught.value)) < 300


def test_a_missing_column_is_named():
    with pytest.raises(MalformedData, match=r"line 1, column 'd': the column is missing; the file"):
        _table(["1"]).require("c", "d")


def test_a_file_without_names_is_said_to_have_none():
    table = SourceTable("f.csv", {"1": pa.array(["2"]), "10": pa.array(["3"])}, lambda row: row + 2)
    with pytest.raises(MalformedData, match=r"(?s)line 1, .*source\.columns\.names"):
        table.require("user_id")
