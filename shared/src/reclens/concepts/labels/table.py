"""The concepts table: one row a latent, as `reclens.contracts.tables` lays it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from reclens.contracts.tables.concepts import CONCEPTS, Judgement, LatentLabel
from reclens.errors import CorruptArtifact, InvalidInput

_LATER: Final = ("evidence_hash", "judgements", "duplicate_group", "parent")
"""Columns that tables made before them lack."""


def write_concepts(rows: Sequence[LatentLabel], path: Path) -> None:
    """Write the table.

    Raises:
        InvalidInput: row j is not latent j.
    """
    if [row.latent for row in rows] != list(range(len(rows))):
        raise InvalidInput(
            "row j of the concepts table must be latent j.",
            field="rows",
            remedy="give one row per latent, in order, the unlabelled included.",
        )
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=CONCEPTS.schema)
    CONCEPTS.write(table, path)


def read_concepts(path: Path) -> list[LatentLabel]:
    """Read what `write_concepts` wrote, with this version or an earlier one; columns of later
    versions are ignored.

    Raises:
        CorruptArtifact: a column is missing, or row j is not latent j.
    """
    table = CONCEPTS.read(path)
    names = CONCEPTS.schema.names
    known = [name for name in names if name in table.column_names or name not in _LATER]
    missing = [name for name in known if name not in table.column_names]
    if missing:
        raise _corrupt(path, f"has no column {', '.join(missing)}")
    rows = [row_of(values) for values in table.select(known).to_pylist()]
    if [row.latent for row in rows] != list(range(len(rows))):
        raise _corrupt(path, "does not have latent j in row j")
    return rows


def row_of(values: dict[str, Any]) -> LatentLabel:
    """The row whose fields are ``values``, as Parquet and JSON give them back."""
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    judgements = tuple(Judgement(**one) for one in lists.get("judgements", ()))
    return LatentLabel(**{**values, **lists, "judgements": judgements})


def _corrupt(path: Path, what: str) -> CorruptArtifact:
    return CorruptArtifact(
        f"{path.name} {what}.", field="concepts", remedy="label the latents again."
    )
