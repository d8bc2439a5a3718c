"""ReChorus: three parts read as one, numbered features made readable."""

from __future__ import annotations

from pathlib import Path

import pytest

from reclens.contracts import ColumnNames
from reclens.data.readers.rechorus import locate, read
from reclens.data.sources import ItemText, RawData
from reclens.errors import MalformedData, MissingData


def _read(path: Path) -> RawData:
    return read(locate(path), ColumnNames())


def test_parts_are_read_one_after_the_other(tmp_path: Path):
    (tmp_path / "test.csv").write_text("user_id\titem_id\ttime\tneg_items\n1\t9\t30\t[2, 3]\n")
    (tmp_path / "train.csv").write_text("user_id\titem_id\ttime\n1\t7\t10\n")
    (tmp_path / "dev.csv").write_text("user_id\titem_id\ttime\tneg_items\n1\t8\t20\t[2]\n")
    raw = _read(tmp_path)
    assert raw.item_ids.to_pylist() == ["7", "8", "9"]
    assert raw.timestamps.tolist() == [10, 20, 30]
    assert raw.ratings is None
    assert _read(tmp_path / "dev.csv").item_ids.to_pylist() == ["8"]


def test_features_become_tags_and_relations_do_not(tmp_path: Path):
    (tmp_path / "train.csv").write_text("user_id\titem_id\ttime\n1\t7\t10\n")
    (tmp_path / "item_meta.csv").write_text(
        "item_id\ti_title\ti_category\ti_brand\tr_complement\n"
        "7\tRye bread (2009)\t3\tAcme\t[8, 9]\n8\t\t[1, 2]\t\t[]\n"
    )
    (tmp_path / "user_meta.csv").write_text("user_id\tu_gender\n1\tF\n")
    raw = _read(tmp_path)
    assert raw.items == {
        "7": ItemText("Rye bread", ("category 3", "Acme"), 2009),
        "8": ItemText("", ("category 1", "category 2")),
    }
    assert raw.users == {"1": {"gender": "F"}}


def test_a_malformed_row_is_named_with_its_part(tmp_path: Path):
    (tmp_path / "train.csv").write_text("user_id\titem_id\ttime\n1\t7\t10\n")
    (tmp_path / "dev.csv").write_text("user_id\titem_id\ttime\n1\t8\tlater\n")
    with pytest.raises(MalformedData, match=r"dev.csv, line 2, column 'time': .*'later'"):
        _read(tmp_path)


def test_a_missing_column_is_named(tmp_path: Path):
    (tmp_path / "train.csv").write_text("user_id\titem_id\n1\t7\n")
    with pytest.raises(MalformedData, match=r"train.csv, line 1, column 'time': .* missing"):
        _read(tmp_path)


def test_a_folder_without_parts_is_refused(tmp_path: Path):
    with pytest.raises(MissingData, match=r"none of train.csv, dev.csv, test.csv"):
        locate(tmp_path)
