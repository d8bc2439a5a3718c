"""Errors quote nothing of a file that is not of its format: it may be somebody's secret."""

from __future__ import annotations

import traceback
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reclens.contracts import SourceSpec
from reclens.data.reading import read_source
from reclens.errors import RecLensError

SECRET = "hunter2"
NAMES = {
    "table": ("interactions.csv", "interactions.parquet"),
    "sequences": ("any.txt",),
    "movielens": ("u.data", "ratings.dat"),
    "recbole": ("any.inter",),
    "rechorus": ("train.csv",),
    "hetrec": ("user_artists.dat",),
}
CONTENTS = {
    "one word": f"{SECRET}\n",
    "two words": f"password {SECRET}\n",
    "environment": f"A=1\0KEY={SECRET}\0B=2",
    "passwords": f"root:x:0:0:{SECRET}:/root:/bin/sh\nx:y:1:1:{SECRET}:/:/bin/sh\n",
    "yaml": f'key: {SECRET}\n"user": {SECRET}, {SECRET}\n',
    "csv": f"{SECRET},{SECRET}\n1,2,3\n",
    "tabs": f"a\t{SECRET}\n{SECRET}\t2\t{SECRET}\n",
    "twice": f"{SECRET}\t{SECRET}\n1\t2\n",
    "a quote": f'a,b\n1,"{SECRET}\n2,3\n',
    "colons": f"1::2::{SECRET}::4::5\n",
    "json": f'{{"key": "{SECRET}"\n',
}


def said(source: SourceSpec) -> str:
    with pytest.raises(RecLensError) as caught:
        read_source(source)
    # As it is kept in a job's result and in the log.
    return "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("form", "name"), [(form, name) for form, names in NAMES.items() for name in names]
)
def test_nothing_of_a_file_of_another_format_is_quoted(
    tmp_path: Path, form: str, name: str, encoding: str, content: str
):
    (tmp_path / name).write_bytes(CONTENTS[content].encode(encoding))
    told = said(SourceSpec(format=form, path=str(tmp_path / name)))
    assert SECRET not in told
    assert SECRET not in told.replace("\\x00", "").replace("\\0", "")


@pytest.mark.parametrize("content", CONTENTS)
def test_nor_of_one_that_lies_beside(tmp_path: Path, content: str):
    (tmp_path / "any.txt").write_text("1 2\n")
    (tmp_path / "any.item.json").write_text(CONTENTS[content])
    assert SECRET not in said(SourceSpec(format="sequences", path=str(tmp_path)))


def test_a_parquet_file_of_other_types_tells_nothing_of_them(tmp_path: Path):
    struct = pa.array([{SECRET: 1}], pa.struct([(SECRET, pa.int64())]))
    table = pa.table({"user_id": struct, "item_id": ["a"], "timestamp": [1]})
    pq.write_table(table, tmp_path / "interactions.parquet")
    assert SECRET not in said(SourceSpec(format="table", path=str(tmp_path)))


def test_a_cell_of_a_named_column_is_quoted_in_part(tmp_path: Path):
    (tmp_path / "rows.csv").write_text(f"user_id,item_id,timestamp\na,b,{'x' * 1000}{SECRET}\n")
    told = said(SourceSpec(format="table", path=str(tmp_path / "rows.csv")))
    assert f"got '{'x' * 80}…'" in told
    assert SECRET not in told
