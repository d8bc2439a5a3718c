"""The tables: schemas from row classes, and files with no more in them than their columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reclens.contracts.tables import (
    CODE_SHARD,
    EXAMPLES,
    INTERACTIONS,
    LATENTS,
    TABLES,
    Table,
)
from reclens.contracts.tables.cases import representation_width
from reclens.errors import CorruptArtifact


@dataclass(frozen=True)
class Part:
    name: str
    share: float | None


@dataclass(frozen=True)
class Row:
    index: int
    large: Annotated[int, pa.int64()]
    text: str | None
    parts: tuple[Part, ...]


def test_a_schema_follows_from_the_row() -> None:
    part = pa.struct([("name", pa.string()), ("share", pa.float64())])
    assert Table("rows.parquet", Row).schema == pa.schema(
        [
            pa.field("index", pa.int32(), nullable=False),
            pa.field("large", pa.int64(), nullable=False),
            pa.field("text", pa.string()),
            pa.field("parts", pa.list_(part), nullable=False),
        ]
    )
    undeclared = Table("rows.parquet", Row, not_null=False).schema
    assert all(field.nullable for field in undeclared)


def test_what_is_built_is_written_and_read_in_the_order_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a=b" / LATENTS.file
    path.parent.mkdir()
    columns = {"latent": [0, 1], "density": [0.5, 0.0], "p99": [2.0, 0.0]}
    LATENTS.write(LATENTS.build(columns), path)
    table = LATENTS.read(path, ["p99", "latent"])
    assert table.to_pydict() == {"p99": [2.0, 0.0], "latent": [0, 1]}
    assert table.column_names == ["p99", "latent"]
    assert str(table.schema.field("p99").type) == "float"
    assert pq.read_schema(path).metadata is None


def test_lists_are_written_again_as_they_were_read(tmp_path: Path) -> None:
    # Parquet calls what is in a list element, Arrow calls it item: it is in the file's bytes.
    path = tmp_path / "codes"
    columns = {"context": [["a", "b"]], "latents": pa.array([[1]], pa.list_(pa.int64()))}
    pq.write_table(pa.table(columns), path)
    stored, read = pq.read_table(path).schema, CODE_SHARD.read(path).schema
    assert str(read.field("context")) == str(stored.field("context"))
    assert read.field("context").type.field(0).name == "element"
    # What has another type than is declared has that.
    assert stored.field("latents").type == pa.list_(pa.int64())
    assert read.field("latents").type == pa.list_(pa.int32())


def test_what_is_no_such_table_is_a_corrupt_artifact(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows = Table("rows.parquet", Row)
    good = {"index": [1], "large": [2**40], "text": ["a"], "parts": [[{"name": "b", "share": 0.5}]]}
    rows.write(rows.build(good), path)
    data = path.read_bytes()

    def refused(stored: bytes | pa.Table, why: str, columns: list[str] | None = None) -> None:
        if isinstance(stored, bytes):
            path.write_bytes(stored)
        else:
            pq.write_table(stored, path)
        with pytest.raises(CorruptArtifact, match=why):
            rows.read(path, columns)

    refused(b"", "0 bytes")
    refused(bytes(range(256)), "magic bytes")
    refused(data[: len(data) // 2], "magic bytes")
    refused(pa.table({"index": [1]}), "text", ["index", "text"])
    refused(pa.table({"index": ["one"]}), "one", ["index"])
    refused(pa.table({"index": [2**40]}), "not in range", ["index"])
    refused(pa.table({"index": pa.array([None], pa.int32())}), "index has nulls", ["index"])
    refused(pa.table({"parts": [[1]]}), "struct", ["parts"])
    no_text = pa.array([b"\xff"], pa.binary()).view(pa.string())
    refused(pa.table({"text": no_text}), "UTF8", ["text"])
    # Others' columns are nobody's business here.
    pq.write_table(pa.table({"index": [1], "more": ["x"]}), path)
    assert rows.read(path).to_pydict() == {"index": [1], "more": ["x"]}


def test_representations_are_vectors_of_floats() -> None:
    assert representation_width(pa.list_(pa.float16(), 3)) == 3
    for other in (pa.list_(pa.float32()), pa.list_(pa.string(), 3), pa.float32()):
        with pytest.raises(CorruptArtifact, match="not vectors of floats"):
            representation_width(other)


def test_files_declare_nulls_as_they_always_have() -> None:
    assert not INTERACTIONS.schema.field("split").nullable
    assert INTERACTIONS.schema.field("rating").nullable
    assert EXAMPLES.schema.field("latent").nullable
    files = [table.file for tables in TABLES.values() for table in tables]
    assert len(set(files)) == len(files) == 12
