"""A line per user, texts keyed one lower than the items."""

from __future__ import annotations

from pathlib import Path

import pytest

from reclens.contracts import ColumnNames
from reclens.data.readers.sequences import locate, read
from reclens.data.sources import ItemText, RawData
from reclens.errors import MalformedData, MissingData


def _read(path: Path) -> RawData:
    return read(locate(path), ColumnNames())


def test_a_line_is_a_user_and_items_oldest_first(tmp_path: Path):
    (tmp_path / "Yelp.txt").write_text("1 3 1 3\n\n2 2\n")
    raw = _read(tmp_path)
    assert raw.user_ids.to_pylist() == ["1", "1", "1", "2"]
    assert raw.item_ids.to_pylist() == ["3", "1", "3", "2"]
    assert raw.timestamps.tolist() == [0, 1, 2, 0]
    assert (raw.ratings, raw.order, raw.items) == (None, "sequence", {})


def test_texts_count_from_zero_and_items_from_one(tmp_path: Path):
    (tmp_path / "Yelp.txt").write_text("1 1 2\n")
    (tmp_path / "Yelp.item.json").write_text(
        '{"0": {"title": " Café Gil ", "description": "Diners, Greek, Diners"},'
        ' "1": {"title": "Ice"}}',
        encoding="utf-8",
    )
    assert _read(tmp_path).items == {
        "1": ItemText("Café Gil", ("Diners", "Greek")),
        "2": ItemText("Ice"),
    }
    assert [path.name for path in locate(tmp_path).all()] == ["Yelp.txt", "Yelp.item.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2\n1 3\n", r"Yelp.txt, line 2: the user comes a second time"),
        ("1 2\n2\n", r"Yelp.txt, line 2: a line is a user and items"),
        ("1 2 x\n", r"line 1: item 2 is no whole number from 1"),
        ("1 0\n", r"item 1 is no whole number from 1"),
        ("1 07\n", r"item 1 is no whole number from 1"),
        ("\n", r"Yelp.txt is empty"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, said: str):
    (tmp_path / "Yelp.txt").write_text(text)
    with pytest.raises(MalformedData, match=said):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"0": {"title": "A"},\n}', r"Yelp.item.json, line 2"),
        ("[]", r"not an object of items"),
        ('{"a": {"title": "A"}}', r"entry 1: expected a number with a title"),
        ('{"0": {"description": "B"}}', r"entry 1: expected a number with a title"),
        ('{"0": "A"}', r"entry 1"),
    ],
)
def test_malformed_texts_are_named(tmp_path: Path, text: str, said: str):
    (tmp_path / "Yelp.txt").write_text("1 1\n")
    (tmp_path / "Yelp.item.json").write_text(text)
    with pytest.raises(MalformedData, match=said):
        _read(tmp_path)


def test_text_of_another_encoding_is_refused(tmp_path: Path):
    (tmp_path / "Yelp.txt").write_bytes(b"caf\xe9 1\n")
    with pytest.raises(MalformedData, match=r"Yelp.txt, line 1: not utf-8"):
        _read(tmp_path)


def test_two_candidates_are_refused(tmp_path: Path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("1 1\n")
    with pytest.raises(MissingData, match=r"no single .txt file"):
        locate(tmp_path)
    assert locate(tmp_path / "b.txt").interactions == (tmp_path / "b.txt",)


def test_placeholders_are_nothing_and_articles_come_first(tmp_path: Path):
    (tmp_path / "Yelp.txt").write_text("1 1 2\n")
    (tmp_path / "Yelp.item.json").write_text(
        '{"0": {"title": "N/A", "description": "unknown, Pizza"},'
        ' "1": {"title": "Great Greek, The"}}'
    )
    raw = _read(tmp_path)
    assert raw.items == {"1": ItemText("", ("Pizza",)), "2": ItemText("The Great Greek")}
    assert [(f.code, f.count, f.file) for f in raw.findings] == [
        ("placeholders", 1, "Yelp.item.json")
    ]
