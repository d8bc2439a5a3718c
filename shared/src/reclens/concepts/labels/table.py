"""The concepts table: one row a latent, as `reclens.contracts.tables` lays it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from reclens.contracts.tables.concepts import CONCEPTS, LatentLabel
from reclens.errors import CorruptArtifact, InvalidInput

_LATER: Final = ("evidence_hash", "judgements", "duplicate_group", "parent")
"""Columns that tables made before them lack."""
_LABELS = TypeAdapter(list[LatentLabel])


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
        CorruptArtifact: it cannot be read, a column is missing, or row j is not latent j.
    """
    table = CONCEPTS.read(path)
    optional = set(_LATER).difference(table.column_names)
    names = [name for name in CONCEPTS.schema.names if name not in optional]
    problem = find_problem(table, names, range(len(table)))
    try:
        if not problem:
            return _LABELS.validate_python(table.select(names).to_pylist())
    except ValidationError as error:
        problem = f"has a row that is none: {error.errors()[0]['msg']}"
    raise CorruptArtifact(
        f"{path.name} {problem}.", field="concepts", remedy="label the latents again."
    )


def find_problem(table: pa.Table, columns: Sequence[str], latents: range) -> str:
    """What is wrong with a table that should have these columns and a row for each latent, in
    order; empty: nothing."""
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        return f"has no column {', '.join(missing)}"
    if table["latent"].to_pylist() != list(latents):
        return f"does not hold latents {latents.start} to {latents.stop - 1}, a row each, in order"
    return ""
