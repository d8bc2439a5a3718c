"""Files as they are met in the wild: imported with a true account, or refused with a place.

The same thousand at every run; where ``RECLENS_FUZZ_FILES`` is set, so many others:
``make fuzz-data N=50000``.
"""

from __future__ import annotations

import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from counted_rows import Unreadable, count_rows, read_rows
from dirty_files import Source, sources
from hypothesis import HealthCheck, given, settings

from reclens import extensions
from reclens.contracts import DatasetSpec
from reclens.data import prepare
from reclens.data.prepare import import_dataset
from reclens.errors import InvalidInput, MalformedData

_CHOSEN = os.environ.get("RECLENS_FUZZ_FILES")
_OF_ALL_ROWS = ("k_core", "min_rating", "split")
"""Fields of what is refused of rows that were read."""
_AS_TEXT = ("quotes-are-text",)


def _write(source: Source, folder: Path) -> DatasetSpec:
    for name, data in source.files.items():
        (folder / name).write_bytes(data)
    given = dict(source.spec["source"])
    given["path"] = str(folder / next(iter(source.files)))
    if "items_path" in given:
        given["items_path"] = str(folder / given["items_path"])
    return DatasetSpec.parse({**source.spec, "source": given})


def _check_refusal(source: Source, error: InvalidInput) -> None:
    assert error.remedy
    if error.field in _OF_ALL_ROWS:
        assert re.search(r"\d", error.message)  # with counts
        # What is refused tells not how quotes were read.
        assert any(_leaves_too_little(source, error.field, codes) for codes in ((), _AS_TEXT))
        return
    assert not source.clean, error.sentence
    assert isinstance(error, MalformedData)
    assert next(iter(source.files)) in error.message
    if source.line:
        assert f"line {source.line}" in error.message, (source.damage, error.message)


def _leaves_too_little(source: Source, field: str, codes: tuple[str, ...]) -> bool:
    try:
        counted = count_rows(source, read_rows(source, codes))
    except Unreadable:
        return False
    if counted is None or field != "split":
        return counted is None
    train, _, test = (part["interactions"] for part in counted["splits"].values())
    return train < 0.08 * counted["rows_kept"] or test == 0


@pytest.fixture(scope="module", autouse=True)
def _installed_packages_are_looked_up_once() -> Iterator[None]:
    """Which would take longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extensions, "entry_points", cache(extensions.entry_points))
        yield


@settings(
    max_examples=int(_CHOSEN or "1000"),
    derandomize=_CHOSEN is None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(sources())
def test_every_file_is_imported_with_a_true_account_or_refused_with_a_place(
    source: Source,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = _write(source, folder)
        assert spec.source is not None
        try:
            account = import_dataset(spec, Path(spec.source.path)).account
        except InvalidInput as error:
            _check_refusal(source, error)
            return
    told = account.canonical()
    codes = {one["code"] for one in told.pop("findings")}
    assert source.line == 0, f"{source.damage} in line {source.line} was imported"
    try:
        rows = read_rows(source, codes)
    except Unreadable:
        pytest.fail(f"imported, though nobody can read it ({source.damage})")
    assert told == count_rows(source, rows)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xff\xfe", "is empty"),
        (b"user_id,item_id,timestamp\n", "there are no rows of interactions"),
    ],
    ids=["a-mark-alone", "a-mark-of-utf-16", "a-header-alone"],
)
def test_a_file_without_rows_is_named(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "views.csv").write_bytes(data)
    source = {"format": "table", "path": str(tmp_path / "views.csv")}
    with pytest.raises(MalformedData, match=rf"views.csv:? {said}"):
        prepare(DatasetSpec.parse({"name": "views", "source": source}), Path(source["path"]))


def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    packed = packer.compress(b"user_id,item_id,timestamp\n")
    zeros = bytes(1 << 24)
    packed += b"".join(packer.compress(zeros) for _ in range(17)) + packer.flush()
    (tmp_path / "bomb.csv.gz").write_bytes(packed)
    source = {"format": "table", "path": str(tmp_path / "bomb.csv.gz")}
    with pytest.raises(MalformedData, match=r"bomb.csv.gz unpacks to more than"):
        prepare(DatasetSpec.parse({"name": "bomb", "source": source}), Path(source["path"]))
