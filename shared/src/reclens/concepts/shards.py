"""Labelled latents on their way to being joined: as a Parquet table, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from reclens.concepts.grouping import LatentLabel
from reclens.concepts.keywords import KeywordLabel
from reclens.concepts.labelling import LabelledLatent
from reclens.concepts.table import SCHEMA
from reclens.errors import CorruptArtifact

SHARD_SCHEMA: Final = pa.schema(
    [
        *SCHEMA,
        pa.field("matcher_terms", pa.list_(pa.int32())),
        pa.field("matcher_item", pa.int32()),
        pa.field("threshold", pa.float64()),
    ]
)
"""The concepts table, its concept columns empty, and what the keyword matcher takes the label for:
columns of the vocabulary, or the index of one item, both null where there is no label."""


def write_shard(latents: Sequence[LabelledLatent], path: Path) -> None:
    """Write the latents of one range."""
    pq.write_table(pa.Table.from_pylist([to_json(one) for one in latents], SHARD_SCHEMA), path)


def read_shard(path: Path, expected: range) -> list[LabelledLatent]:
    """Read what `write_shard` wrote.

    Raises:
        CorruptArtifact: it has other columns, or holds other latents than ``expected``.
    """
    table = pq.read_table(path)
    missing = [name for name in SHARD_SCHEMA.names if name not in table.column_names]
    if missing:
        raise _corrupt(path, f"has no column {', '.join(missing)}")
    latents = [from_json(values) for values in table.select(SHARD_SCHEMA.names).to_pylist()]
    if [one.row.latent for one in latents] != list(expected):
        raise _corrupt(path, f"does not hold latents {expected.start} to {expected.stop - 1}")
    return latents


def to_json(one: LabelledLatent) -> dict[str, Any]:
    """JSON types only; an infinite threshold stays a float."""
    label = one.label
    return {
        **{name: list(v) if isinstance(v, tuple) else v for name, v in asdict(one.row).items()},
        "matcher_terms": None if label is None else list(label.terms),
        "matcher_item": None if label is None else label.item,
        "threshold": one.threshold,
    }


def from_json(values: dict[str, Any]) -> LabelledLatent:
    """Take up what `to_json` gave."""
    row = LatentLabel(**{name: _frozen(values[name]) for name in _ROW})
    terms, item = values["matcher_terms"], values["matcher_item"]
    label = None
    if terms is not None:
        label = KeywordLabel(tuple(terms), item, row.support or 0.0, row.lift or 0.0)
    return LabelledLatent(row, label, values["threshold"])


_ROW: Final = [field.name for field in fields(LatentLabel)]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _corrupt(path: Path, what: str) -> CorruptArtifact:
    return CorruptArtifact(
        f"{path.name} {what}.",
        field="concept-shards",
        remedy="delete its folder in the bucket and submit the job again.",
    )
