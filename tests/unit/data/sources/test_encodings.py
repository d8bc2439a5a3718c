"""Bytes in every encoding that says what it is; those that do not are refused, by line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from reclens.contracts import ColumnNames
from reclens.contracts.account import Finding
from reclens.data.sources import Reading, read_bytes, read_delimited
from reclens.errors import InvalidSpec, MalformedData

_TEXT = "a,b\n1,Überall\n2,Café des Rêves\n3,Plain\n"
_TITLES = ["Überall", "Café des Rêves", "Plain"]


def _read(
    folder: Path, content: bytes, published: str | None = None, **columns: str
) -> tuple[list[str], list[Finding]]:
    path = folder / "rows.csv"
    path.write_bytes(content)
    reading = Reading(ColumnNames(**columns))
    table = read_delimited(path, ",", encoding=published, reading=reading)
    return table.texts("b"), reading.findings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_nothing_to_tell(tmp_path: Path, encoding: str):
    assert _read(tmp_path, _TEXT.encode(encoding)) == (_TITLES, [])
    assert _read(tmp_path, _TEXT.encode(encoding), published="latin-1") == (_TITLES, [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, encoding: str):
    titles, findings = _read(tmp_path, _TEXT.encode(encoding))
    assert titles == _TITLES
    assert [(f.code, f.level, f.count, f.line) for f in findings] == [("encoding", "note", 2, 2)]


def test_the_publishers_encoding_is_taken_where_it_is_no_utf_8_and_told(tmp_path: Path):
    titles, findings = _read(tmp_path, _TEXT.encode("latin-1"), published="latin-1")
    assert titles == _TITLES
    assert [(f.code, f.level, f.count, f.line) for f in findings] == [("encoding", "note", 2, 2)]


def test_latin_1_with_letters_of_windows_is_that_of_windows(tmp_path: Path):
    titles, findings = _read(tmp_path, b"a,b\n1,20 \x80\n2,\xdcber\n", published="latin-1")
    assert titles == ["20 €", "Über"]
    assert "windows-1252" in findings[0].message


def test_an_encoding_that_is_set_is_taken(tmp_path: Path):
    assert _read(tmp_path, _TEXT.encode("cp1252"), encoding="windows-1252") == (_TITLES, [])
    assert _read(tmp_path, _TEXT.encode("utf-16-le"), encoding="utf-16-le") == (_TITLES, [])
    with pytest.raises(MalformedData, match="line 2: not ascii text"):
        _read(tmp_path, _TEXT.encode(), encoding="ascii")


def test_an_encoding_that_nobody_knows_is_refused():
    for unknown in ("utf-9", "rot13"):
        with pytest.raises(InvalidSpec, match="no such encoding is known"):
            ColumnNames.parse({"encoding": unknown})


def test_text_that_is_no_utf_8_is_refused_with_what_to_set(tmp_path: Path):
    with pytest.raises(MalformedData, match=r"(?s)rows.csv, line 2: .*source.columns.encoding"):
        _read(tmp_path, _TEXT.encode("cp1252"))


def test_nuls_are_refused_with_what_they_may_be(tmp_path: Path):
    with pytest.raises(MalformedData, match=r"(?s)rows.csv, line 2: a NUL byte.*encoding"):
        _read(tmp_path, b"a,b\n1,x\0y\n")
    with pytest.raises(MalformedData, match=r"(?s)line 1: a NUL byte.*utf-16-le"):
        _read(tmp_path, b"a,b\n1,x\n".decode().encode("utf-16-le"))


def test_text_that_was_damaged_before_is_kept_and_told(tmp_path: Path):
    damaged = "a,b\n1,Plain\n2,CafÃ©\n3,Donâ€™t\n4,Straße São\n5,Caf\ufffd\n"
    titles, findings = _read(tmp_path, damaged.encode())
    assert titles == ["Plain", "CafÃ©", "Donâ€™t", "Straße São", "Caf\ufffd"]
    told = {f.code: (f.level, f.count, f.line, f.value) for f in findings}
    assert told == {
        "replacement-characters": ("warning", 1, 6, "Caf\ufffd"),
        "mojibake": ("warning", 2, 3, "CafÃ©"),
    }
    assert any("'Café'" in f.message for f in findings)


# --- packed files --------------------------------------------------------------------------------


def test_gzip_is_unpacked_in_all_its_members(tmp_path: Path):
    path = tmp_path / "rows.csv.gz"
    half = len(_TEXT) // 2
    path.write_bytes(gzip.compress(_TEXT[:half].encode()) + gzip.compress(_TEXT[half:].encode()))
    assert read_bytes(path) == _TEXT.encode()


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path: Path):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"0" * (260 << 20), compresslevel=1))
    with pytest.raises(MalformedData, match=r"rows.csv.gz unpacks to more than 268,435,456 bytes"):
        read_bytes(path)


@pytest.mark.parametrize("cut", [5, 20, -4])
def test_a_damaged_archive_is_refused(tmp_path: Path, cut: int):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(_TEXT.encode())[:cut])
    with pytest.raises(MalformedData, match="is damaged, or cut off"):
        read_bytes(path)


def test_other_archives_are_refused_with_what_to_do(tmp_path: Path):
    path = tmp_path / "rows.zip"
    path.write_bytes(b"PK\x03\x04....")
    with pytest.raises(MalformedData, match=r"(?s)packed \(ZIP\).*unpack it"):
        read_bytes(path)
