"""The tables: schemas from row classes, and files with no more in them than their columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reclens.contracts.tables import EXAMPLES, INTERACTIONS, LATENTS, TABLES, Table


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
    with pytest.raises(KeyError):
        LATENTS.read(path, ["maximum"])


def test_files_declare_nulls_as_they_always_have() -> None:
    assert not INTERACTIONS.schema.field("split").nullable
    assert INTERACTIONS.schema.field("rating").nullable
    assert EXAMPLES.schema.field("latent").nullable
    files = [table.file for tables in TABLES.values() for table in tables]
    assert len(set(files)) == len(files) == 12
