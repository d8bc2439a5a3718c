"""Files are read whole or refused by name, and replaced whole."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from reclens.errors import InvalidInput, MissingData
from reclens.platform.files import FollowedFiles, file_stamp, read_text, write_atomically


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path):
    (tmp_path / "file").write_text("é", encoding="utf-8-sig")
    assert read_text(tmp_path / "file", field="f") == "é"


def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path):
    with pytest.raises(MissingData, match=r"answers: cannot read .*none \(No such file"):
        read_text(tmp_path / "none", field="answers")
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"latin is not in UTF-8"):
        read_text(tmp_path / "latin", field="answers")


def test_a_file_is_replaced_whole_or_stays_as_it_is(tmp_path: Path):
    path = tmp_path / "file"
    write_atomically(path, "old", mode=0o644)
    before = file_stamp(path)
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert (path.read_text(), file_stamp(path)) == ("old", before)
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert file_stamp(path) != before
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_read_again_when_they_changed_and_what_is_broken_is_passed_over(tmp_path: Path):
    path = tmp_path / "number"

    def read() -> int:
        if not path.read_text().isdigit():
            raise InvalidInput("it is no number.")
        return int(path.read_text())

    path.write_text("1")
    followed = FollowedFiles([path], read, "number")
    assert (followed.current, followed.renewed()) == (1, None)
    write_atomically(path, "one")
    assert (followed.renewed(), followed.current) == (None, 1)
    write_atomically(path, "2")
    assert (followed.renewed(), followed.current) == (2, 2)
    assert followed.renewed() is None
