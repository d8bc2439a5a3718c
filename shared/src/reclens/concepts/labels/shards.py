"""Labelled latents on their way to being joined: as a Parquet table, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from reclens.concepts.evidence.keywords import KeywordLabel
from reclens.concepts.judging.judges import Statement
from reclens.concepts.labels.labelling import LabelledLatent
from reclens.concepts.labels.llm_usage import Usage
from reclens.concepts.labels.table import row_of
from reclens.contracts.tables import CONCEPTS
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
    return {
        **asdict(one.row),
        "statement": None if one.statement is None else asdict(one.statement),
        "thresholds": [{"judge": judge, "score": score} for judge, score in one.thresholds.items()],
        "usage": asdict(one.usage),
    }


def from_json(values: dict[str, Any]) -> LabelledLatent:
    """Take up what `to_json` gave."""
    row = row_of({name: values[name] for name in CONCEPTS.schema.names})
    thresholds = {entry["judge"]: entry["score"] for entry in values["thresholds"]}
    usage = Usage(**values["usage"])
    return LabelledLatent(row, _statement(values["statement"]), thresholds, usage)


def _statement(values: dict[str, Any] | None) -> Statement | None:
    if values is None:
        return None
    keywords = values["keywords"]
    if keywords is not None:
        keywords = KeywordLabel(**{**keywords, "terms": tuple(keywords["terms"])})
    return Statement(values["text"], keywords)


def _corrupt(path: Path, what: str) -> CorruptArtifact:
    return CorruptArtifact(
        f"{path.name} {what}.",
        field="concept-shards",
        remedy="delete its folder in the bucket and submit the job again.",
    )
