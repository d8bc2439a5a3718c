"""A malformed row is named by file, line, column and value; a missing file by its path."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reclens.contracts import ColumnNames
from reclens.contracts.account import Finding
from reclens.data.sources import Reading, SourceTable, read_delimited, read_parquet
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
    with pytest.raises(MalformedData, match=r"line 3: a quote .* is opened and never"):
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


# --- what divides and what quotes are, found out -------------------------------------------------


def _found_out(
    folder: Path, content: bytes, name: str = "rows.csv", **columns: str
) -> tuple[SourceTable, list[Finding]]:
    reading = Reading(ColumnNames(**columns))
    table = read_delimited(
        _file(folder, content, name),
        None,
        expected={"item_id", "title", "tags"},
        quoted=None,
        reading=reading,
    )
    return table, reading.findings


@pytest.mark.parametrize(
    ("content", "titles"),
    [
        (
            b"item_id;title;tags\ni1;Heat, again, and on;a\ni2;x, y, z;b\n",
            ["Heat, again, and on", "x, y, z"],
        ),
        (b"item_id,title,tags|genres|moods|forms\ni1,Heat,a|b|c\n", ["Heat"]),
        (b"item_id\ttitle\ttags, with commas, in the name\ni1\tHeat\ta\n", ["Heat"]),
        (b'item_id,title,tags\ni1,"Heat; again; and; on",a\n', ["Heat; again; and; on"]),
    ],
)
def test_the_delimiter_is_that_by_which_the_names_are_found(
    tmp_path: Path, content: bytes, titles: list[str]
):
    table, _ = _found_out(tmp_path, content)
    assert table.texts("title") == titles


def test_without_known_names_the_delimiter_is_that_of_rows_that_are_alike(tmp_path: Path):
    path = _file(tmp_path, b"a;b,c,d;e\n1;x,y;2\n3;z;4\n")
    assert read_delimited(path, None).names == ["a", "b,c,d", "e"]


def test_a_delimiter_that_is_set_is_taken(tmp_path: Path):
    table, _ = _found_out(tmp_path, b"item_id title\ni1 Heat\n", delimiter=" ")
    assert table.texts("title") == ["Heat"]


_SONGS = (
    b'item_id\ttitle\ttags\ni1\t"Odd Bob" Sings\tfunny\ni2\t"Half a title\tsad\ni3\tPlain\tcalm\n'
)


def test_quotes_that_do_not_enclose_cells_are_text(tmp_path: Path):
    table, findings = _found_out(tmp_path, _SONGS + b'i4\tThe 12" Mix\tloud\n', "songs.tsv")
    assert table.ids("item_id").to_pylist() == ["i1", "i2", "i3", "i4"]
    assert table.texts("title") == ['"Odd Bob" Sings', '"Half a title', "Plain", 'The 12" Mix']
    assert table.texts("tags") == ["funny", "sad", "calm", "loud"]
    (finding,) = findings
    assert (finding.code, finding.level, finding.count) == ("quotes-are-text", "note", 3)
    assert (finding.file, finding.line) == ("songs.tsv", 2)


def test_rows_are_not_swallowed_though_quotes_seem_closed(tmp_path: Path):
    content = b'item_id\ttitle\ttags\ni1\t"Half a title\tsad\ni2\tPlain\tcalm\ni3\tThe end"\tloud\n'
    table, findings = _found_out(tmp_path, content)
    assert table.texts("title") == ['"Half a title', "Plain", 'The end"']
    assert [(f.code, f.level, f.line) for f in findings] == [("quotes-are-text", "warning", 2)]


def test_quotes_of_csv_are_taken_off_and_may_enclose_anything(tmp_path: Path):
    content = b'item_id,title,tags\n"i1","Long, Quiet Road","a"\ni2,"two\nlines, ""really""",b\n'
    table, findings = _found_out(tmp_path, content)
    assert table.texts("title") == ["Long, Quiet Road", 'two\nlines, "really"']
    assert findings == []


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (b'i2,"Odd, Bob" Sings,b', "does not end it"),
        (b'i2,"Half, a title,b', "is opened and never closed"),
    ],
)
def test_quotes_that_can_be_read_neither_way_are_refused_by_line(
    tmp_path: Path, row: bytes, told: str
):
    content = b'item_id,title,tags\ni1,"Long, Quiet Road",a\n' + row + b"\ni3,Plain,c\n"
    with pytest.raises(MalformedData, match=rf"rows.csv, line 3: .* {told}") as caught:
        _found_out(tmp_path, content)
    assert "source.columns.quoting" in str(caught.value)


def test_what_quotes_are_can_be_set(tmp_path: Path):
    backslash = rb"item_id,title,tags" + b"\n" + rb'i1,"He said \"hi, you\"",a' + b"\n"
    table, _ = _found_out(tmp_path, backslash, quoting="backslash")
    assert table.texts("title") == ['He said "hi, you"']
    plain = b'item_id,title,tags\ni1,"Heat",a\n'
    assert _found_out(tmp_path, plain, quoting="none")[0].texts("title") == ['"Heat"']
    assert _found_out(tmp_path, plain)[0].texts("title") == ["Heat"]
    with pytest.raises(MalformedData, match="line 2: a quote"):
        _found_out(tmp_path, _SONGS, quoting="double")


def test_rows_of_other_lengths_are_counted(tmp_path: Path):
    path = _file(tmp_path, b"a,b\n1,x,\n2,y\n3,z,\n")
    with pytest.raises(MalformedData, match=r"line 2: expected 2 .* \(2 rows have"):
        read_delimited(path, ",")
    path = _file(tmp_path, b"a,b\n1,x,9\n2,y,9\n")
    with pytest.raises(MalformedData, match=r"(?s)line 2: .*correct the first line"):
        read_delimited(path, ",")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends_of_every_kind_are_read_and_counted(tmp_path: Path, end: bytes):
    table = read_delimited(_file(tmp_path, end.join([b"a,b", b"1,x", b",y", b""])), ",")
    assert table.texts("b") == ["x", "y"]
    with pytest.raises(MalformedData, match="line 3, column 'a'"):
        table.ids("a")


def test_line_ends_may_be_mixed(tmp_path: Path):
    table = read_delimited(_file(tmp_path, b"a,b\r\n1,x\n2,y\r3,z"), ",")
    assert table.texts("b") == ["x", "y", "z"]


# --- numbers -------------------------------------------------------------------------------------


def _ratings(folder: Path, cells: list[str], **columns: str) -> tuple[list[float], list[Finding]]:
    content = "a;b\n" + "".join(f"{n};{cell}\n" for n, cell in enumerate(cells))
    reading = Reading(ColumnNames(**columns))
    table = read_delimited(_file(folder, content.encode()), ";", reading=reading)
    return table.ratings("b").tolist(), reading.findings


def test_decimal_commas_are_read_and_told(tmp_path: Path):
    values, findings = _ratings(tmp_path, ["3", "4,5", "2,5"])
    assert values == [3.0, 4.5, 2.5]
    assert [(f.code, f.count, f.line, f.value) for f in findings] == [
        ("decimal-comma", 2, 3, "4,5")
    ]


@pytest.mark.parametrize("cells", [["1,000", "2,500"], ["1.5", "2,5"], ["1,234.5"]])
def test_commas_that_may_be_of_thousands_are_refused(tmp_path: Path, cells: list[str]):
    with pytest.raises(MalformedData, match=r"(?s)line \d, column 'b'.*source.columns.decimal"):
        _ratings(tmp_path, cells)


def test_what_stands_before_decimals_can_be_set(tmp_path: Path):
    assert _ratings(tmp_path, ["1,125", "2"], decimal=",") == ([1.125, 2.0], [])
    for cells, decimal in ((["1.5"], ","), (["1,5"], ".")):
        with pytest.raises(MalformedData, match="line 2, column 'b'"):
            _ratings(tmp_path, cells, decimal=decimal)


def test_a_column_without_any_number_is_said_to_be_the_wrong_one(tmp_path: Path):
    with pytest.raises(MalformedData, match=r"(?s)line 2, .*no row has a number there"):
        _ratings(tmp_path, ["good", "bad"])
