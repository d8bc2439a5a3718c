"""Labelled latents on their way to being joined: as a Parquet table, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from reclens.concepts.labels.labelling import LabelledLatent
from reclens.concepts.labels.llm_usage import Usage
from reclens.concepts.labels.table import find_problem
from reclens.contracts.tables import CONCEPTS
from reclens.contracts.tables.table import read_table
from reclens.errors import CorruptArtifact

_KEYWORDS: Final = pa.struct(
    [
        ("terms", pa.list_(pa.int32())),
        ("item", pa.int32()),
        ("support", pa.float64()),
        ("lift", pa.float64()),
    ]
)
SHARD_SCHEMA: Final = pa.schema(
    [
        *CONCEPTS.schema,
        pa.field("statement", pa.struct([("text", pa.string()), ("keywords", _KEYWORDS)])),
        pa.field(
            "thresholds", pa.list_(pa.struct([("judge", pa.string()), ("score", pa.float64())]))
        ),
        pa.field(
            "usage",
            pa.struct([(field.name, pa.scalar(field.default).type) for field in fields(Usage)]),
        ),
    ]
)
"""The concepts table, its concept columns empty; what judges were told, null where there is no
label: its text, and as far as it has any its columns of the vocabulary or the index of one item;
the score from which each judge says that the latent fires; and what a language model was asked."""
_LABELLED = TypeAdapter(LabelledLatent)


def write_shard(latents: Sequence[LabelledLatent], path: Path) -> None:
    """Write the latents of one range."""
    pq.write_table(pa.Table.from_pylist([to_json(one) for one in latents], SHARD_SCHEMA), path)


def read_shard(path: Path, expected: range) -> list[LabelledLatent]:
    """Read what `write_shard` wrote.

    Raises:
        CorruptArtifact: it cannot be read, has other columns, or holds other latents than
            ``expected``.
    """
    table = read_table(path, SHARD_SCHEMA)
    if problem := find_problem(table, SHARD_SCHEMA.names, expected):
        raise CorruptArtifact(
            f"{path.name} {problem}.",
            field="concept-shards",
            remedy="delete its folder in the bucket and submit the job again.",
        )
    return [from_json(values) for values in table.select(SHARD_SCHEMA.names).to_pylist()]


def to_json(one: LabelledLatent) -> dict[str, Any]:
    """JSON types only; an infinite threshold stays a float."""
    values = asdict(one)
    thresholds = [{"judge": judge, "score": score} for judge, score in one.thresholds.items()]
    return {**values.pop("row"), **values, "thresholds": thresholds}


def from_json(values: dict[str, Any]) -> LabelledLatent:
    """Take up what `to_json` gave."""
    thresholds = {entry["judge"]: entry["score"] for entry in values["thresholds"]}
    return _LABELLED.validate_python({**values, "row": values, "thresholds": thresholds})
