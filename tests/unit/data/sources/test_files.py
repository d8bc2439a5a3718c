"""A malformed row is named by file, line, column and value; a missing file by its path."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reclens.data.sources.files import read_delimited, read_parquet
from reclens.errors import MalformedData, MissingData


def _file(folder: Path, content: bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_reads_header_and_rows(tmp_path: Path):
    table = read_delimited(_file(tmp_path, b"a,b\n1,x\n2,y\n"), ",")
    assert table.names == ["a", "b"]
    assert table.texts("a") == ["1", "2"]
    assert table.texts("b") == ["x", "y"]


def test_skips_byte_order_mark_blank_lines_and_carriage_returns(tmp_path: Path):
    table = read_delimited(_file(tmp_path, b"\xef\xbb\xbfa,b\r\n\r\n1,x\r\n\r\n"), ",")
    assert table.names == ["a", "b"]
    assert table.texts("b") == ["x"]


def test_reads_delimiters_of_two_characters(tmp_path: Path):
    table = read_delimited(_file(tmp_path, b"1::Heat: a film::x\n"), "::", names=["a", "b", "c"])
    assert table.texts("b") == ["Heat: a film"]


def test_decodes_latin_1(tmp_path: Path):
    table = read_delimited(
        _file(tmp_path, b"1|Mis\xe9rables\n"), "|", names=["a", "b"], encoding="latin-1"
    )
    assert table.texts("b") == ["Misérables"]


def test_quotes_are_text_unless_asked_for(tmp_path: Path):
    path = _file(tmp_path, b'a\tb\n1\t"Crocodile" Dundee\n2\t"x\n')
    assert read_delimited(path, "\t").texts("b") == ['"Crocodile" Dundee', '"x']


def test_quoted_cells_may_hold_delimiters_and_line_breaks(tmp_path: Path):
    path = _file(tmp_path, b'a,b\n1,"x, y\nz"\n2,""""\n')
    assert read_delimited(path, ",", quoted=True).texts("b") == ["x, y\nz", '"']


@pytest.mark.parametrize(("row", "found"), [(b"3", 1), (b"3,x,1,2", 4), (b"3,x", 2)])
def test_wrong_number_of_fields_names_the_line(tmp_path: Path, row: bytes, found: int):
    path = _file(tmp_path, b"a,b,c\n1,x,1\n\n2,y,1\n" + row + b"\n4,z,1\n")
    with pytest.raises(MalformedData) as caught:
        read_delimited(path, ",")
    assert f"rows.csv, line 5: expected 3 fields, found {found}." in str(caught.value)


def test_wrong_number_of_fields_without_header(tmp_path: Path):
    path = _file(tmp_path, b"1::x\n2::y::z\n", "ratings.dat")
    with pytest.raises(MalformedData, match=r"ratings.dat, line 2: expected 2 fields, found 3"):
        read_delimited(path, "::", names=["a", "b"])


def test_line_numbers_count_lines_within_quotes(tmp_path: Path):
    path = _file(tmp_path, b'a,b\n1,"x\ny\nz"\n,w\n')
    with pytest.raises(MalformedData, match=r"line 5, column 'a': the id is empty, got ''"):
        read_delimited(path, ",", quoted=True).ids("a")


def test_a_quote_that_never_closes_is_refused(tmp_path: Path):
    path = _file(tmp_path, b'a,b\n1,x\n2,"y\n3,z\n4,w\n')
    with pytest.raises(MalformedData, match=r"line 3: a quote is opened and never"):
        read_delimited(path, ",", quoted=True)


def test_text_in_another_encoding_is_refused_by_line(tmp_path: Path):
    path = _file(tmp_path, b"a,b\n1,x\n2,Mis\xe9rables\n")
    with pytest.raises(MalformedData, match=r"rows.csv, line 3: not utf-8 text"):
        read_delimited(path, ",")


def test_a_column_that_comes_twice_is_refused(tmp_path: Path):
    with pytest.raises(MalformedData, match=r"line 1: columns 1 and 3 have the same name"):
        read_delimited(_file(tmp_path, b"a,b,a\n1,2,3\n"), ",")


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes):
    with pytest.raises(MalformedData, match=r"rows.csv is empty"):
        read_delimited(_file(tmp_path, content), ",")


def test_a_missing_file_is_named_with_a_remedy(tmp_path: Path):
    with pytest.raises(
        MissingData, match=r"(?s)nothing.csv cannot be read .*Remedy: give the path"
    ):
        read_delimited(tmp_path / "nothing.csv", ",")


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path):
    with pytest.raises(MalformedData, match=r"rows.parquet is not a readable Parquet file"):
        read_parquet(_file(tmp_path, b"a,b\n1,2\n", "rows.parquet"))


def test_parquet_rows_are_counted_from_one(tmp_path: Path):
    pq.write_table(pa.table({"a": ["x", "y", None]}), tmp_path / "rows.parquet")
    with pytest.raises(MalformedData, match=r"rows.parquet, line 3, column 'a'.* got None"):
        read_parquet(tmp_path / "rows.parquet").ids("a")
