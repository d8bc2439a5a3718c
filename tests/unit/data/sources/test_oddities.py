"""Placeholders are nothing, but for ids, where they are refused or told."""

from __future__ import annotations

import pyarrow as pa
import pytest

from reclens.contracts import ColumnNames
from reclens.data.sources import Reading, SourceTable
from reclens.errors import MalformedData


def _table(
    values: pa.Array | list[str], placeholders: tuple[str, ...] | None = None
) -> SourceTable:
    column = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    reading = Reading(ColumnNames(placeholders=placeholders))
    return SourceTable("f.csv", {"c": column}, lambda row: row + 2, reading)


def _told(table: SourceTable) -> list[tuple[str, str, int, int, str]]:
    return [(f.code, f.level, f.count, f.line, f.value) for f in table.reading.findings]


_USUAL = ["(no genres listed)", "unknown", "Unknown", "N/A", "nan", "NULL", "None", "-", "\\N"]


def test_titles_that_are_placeholders_are_none():
    table = _table(["Heat", *_USUAL, "Unknown Pleasures", "N"])
    assert table.described("c") == ["Heat", *[""] * len(_USUAL), "Unknown Pleasures", "N"]
    assert _told(table) == [("placeholders", "note", len(_USUAL), 3, "(no genres listed)")]


def test_tags_that_are_placeholders_are_left_out():
    table = _table(["Drama|War", "(no genres listed)", "nan|War", ""])
    assert table.tags("c", "|") == [("Drama", "War"), (), ("War",), ()]
    assert _told(table) == [("placeholders", "note", 2, 3, "(no genres listed)")]
    listed = _table(pa.array([["a|b", "unknown"], None]))
    assert listed.tags("c", "|") == [("a|b",), ()]


def test_years_that_are_placeholders_or_0_are_none():
    table = _table(["1995", "0", "nan", "", "0.0"])
    assert table.years("c") == [1995, None, None, None, None]
    assert _told(table) == [
        ("placeholders", "note", 1, 4, "nan"),
        ("placeholders", "note", 2, 3, "0"),
    ]


def test_placeholders_can_be_set():
    assert _table(["nan", "TBA"], ("tba",)).described("c") == ["nan", ""]
    table = _table(["unknown", "-"], ())
    assert table.described("c") == ["unknown", "-"]
    assert _told(table) == []


def test_an_id_that_is_a_placeholder_in_several_rows_is_refused_with_its_count():
    with pytest.raises(MalformedData) as caught:
        _table(["7", "nan", "8", "nan", "nan"]).ids("c")
    told = str(caught.value)
    assert "f.csv, line 3, column 'c': the id is a placeholder, in 3 rows" in told
    assert "got 'nan'" in told
    assert "source.columns.placeholders" in told
    assert _table(["7", "nan", "nan"], ()).ids("c").to_pylist() == ["7", "nan", "nan"]


def test_an_id_that_is_a_placeholder_in_one_row_is_told():
    table = _table(["ann", "null", "None"])
    assert table.ids("c").to_pylist() == ["ann", "null", "None"]
    assert _told(table) == [("placeholder-ids", "warning", 2, 3, "null")]


def test_missing_ids_are_counted():
    with pytest.raises(MalformedData, match=r"line 3, .* the id is empty \(in 2 rows\)"):
        _table(["a", "", " "]).ids("c")


def test_ids_of_parquet_that_lost_figures_as_floats_are_refused():
    assert _table(pa.array([1001.0, 1e7])).ids("c").to_pylist() == ["1001", "10000000"]
    with pytest.raises(MalformedData, match=r"line 3, column 'c': .*has lost figures"):
        _table(pa.array([1.0, 76561198000000001.0])).ids("c")


def test_ids_with_characters_that_nobody_sees_are_told():
    table = _table(["a", "b\u200b"])
    table.ids("c")
    assert _told(table) == [("hidden-characters", "warning", 1, 3, "b\u200b")]


def test_white_space_around_ids_is_dropped_and_told():
    table = _table(["a", " b", "b", "c\u00a0"])
    assert table.ids("c").to_pylist() == ["a", "b", "b", "c"]
    assert _told(table) == [("ids-with-white-space", "note", 2, 3, " b")]
