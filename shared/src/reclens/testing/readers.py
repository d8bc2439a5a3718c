"""What any reader of raw files must do.

Inherit `ReaderSuite` and override the fixtures ``reader`` and ``source``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reclens.contracts import ColumnNames
from reclens.data.reading import Reader
from reclens.data.sources import RawData
from reclens.errors import MalformedData, MissingData


class ReaderSuite:
    """Override ``reader`` and ``source``; also ``columns`` for a format that leaves them open."""

    @pytest.fixture
    def reader(self) -> Reader:
        """The reader: the module, or whatever the entry point names."""
        raise NotImplementedError

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        """A folder below ``tmp_path`` with a data set of the format, or its file of interactions,
        written by this fixture."""
        raise NotImplementedError

    @pytest.fixture
    def columns(self) -> ColumnNames:
        """Names of the columns."""
        return ColumnNames()

    @pytest.fixture
    def raw(self, reader: Reader, source: Path, columns: ColumnNames) -> RawData:
        """What the reader makes of ``source``."""
        return reader.read(reader.locate(source), columns)

    def test_every_interaction_has_a_user_an_item_and_a_time(self, raw: RawData) -> None:
        assert len(raw) > 0
        assert len(raw.user_ids) == len(raw.item_ids) == len(raw.timestamps)
        assert raw.timestamps.dtype == np.int64
        for ids in (raw.user_ids, raw.item_ids):
            assert all(isinstance(one, str) and one == one.strip() != "" for one in ids.to_pylist())

    def test_ratings_are_finite_numbers_or_absent(self, raw: RawData) -> None:
        if raw.ratings is not None:
            assert raw.ratings.dtype == np.float32
            assert len(raw.ratings) == len(raw)
            assert np.isfinite(raw.ratings).all()

    def test_the_file_itself_is_read_like_its_folder(
        self, reader: Reader, source: Path, columns: ColumnNames, raw: RawData
    ) -> None:
        (first, *others) = reader.locate(source).interactions
        if not others:
            again = reader.read(reader.locate(first), columns)
            assert again.user_ids.equals(raw.user_ids)
            assert again.item_ids.equals(raw.item_ids)
            assert again.items == raw.items

    def test_only_files_that_are_there_are_located(self, reader: Reader, source: Path) -> None:
        found = reader.locate(source).all()
        assert found
        assert all(path.is_file() for path in found)

    def test_a_folder_without_the_files_is_refused(self, reader: Reader, tmp_path: Path) -> None:
        empty = tmp_path / "without-the-files"
        empty.mkdir()
        for path in (empty, empty / "nothing"):
            with pytest.raises(MissingData) as caught:
                reader.locate(path)
            assert caught.value.remedy

    def test_an_empty_file_is_refused_by_its_name(
        self, reader: Reader, source: Path, columns: ColumnNames
    ) -> None:
        files = reader.locate(source)
        files.interactions[0].write_bytes(b"")
        with pytest.raises(MalformedData, match=files.interactions[0].name):
            reader.read(files, columns)
