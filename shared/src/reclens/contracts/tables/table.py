# pyright: basic
"""A table of an artifact: its file, its columns, how it is read and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from reclens.errors import CorruptArtifact

UNREADABLE: Final = (ValueError, TypeError, NotImplementedError, KeyError, OSError)
"""What Arrow raises over bytes that are no table, or not the table that was asked for: its own
errors are of these."""
_LONGEST_QUOTE = 300
_SCALARS = {int: pa.int32(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}


class Table:
    """A Parquet table with one row class, whose fields are its columns.

    A field's docstring says what the column holds, its annotation the type: ``int`` stands for
    int32, ``float`` for float64, ``tuple[T, ...]`` for a list, ``T | None`` for a column with
    nulls, and ``Annotated[..., pa.float32()]`` for what it names. One annotated in words differs
    from file to file, and is not in the schema.

    Args:
        file: name of the file in its artifact; of shards, with a place for the number.
        row: dataclass of a row.
        compression: of the file.
        row_group_size: rows in a group; None: as pyarrow has it.
        not_null: whether the file declares columns without nulls as such.
    """

    def __init__(
        self,
        file: str,
        row: type[Any],
        *,
        compression: str = "snappy",
        row_group_size: int | None = None,
        not_null: bool = True,
    ) -> None:
        self.file = file
        self.row = row
        self._compression, self._row_group_size = compression, row_group_size
        self._not_null = not_null

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns in the order of the row's fields."""
        declared = _schema(self.row)
        return declared if self._not_null else pa.schema([(f.name, f.type) for f in declared])

    def build(self, columns: Mapping[str, Any]) -> pa.Table:
        """A table with these values by name, converted to the columns' types; without the columns
        that are left out."""
        present = [field for field in self.schema if field.name in columns]
        arrays = [pa.array(columns[field.name], type=field.type) for field in present]
        return pa.Table.from_arrays(arrays, schema=pa.schema(present))

    def write(self, table: pa.Table, path: Path) -> None:
        """Write ``table`` as it is; the same table gives the same bytes with the same pyarrow."""
        pq.write_table(
            table, path, compression=self._compression, row_group_size=self._row_group_size
        )

    def read(self, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """Columns of a file; None: all that it has. Those that are declared have their types.

        Raises:
            CorruptArtifact: it cannot be read as Parquet, a column is not there, is of another
                type, or has nulls or text that it must not have.
        """
        return read_table(path, self.schema, columns)


def read_table(path: Path, declared: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Columns of a Parquet file; None: all that it has.

    Args:
        path: of the file.
        declared: what columns must be, if they are there; others are as they are stored.
        columns: that are wanted.

    Raises:
        CorruptArtifact: as `Table.read`.
    """
    try:
        # ParquetFile, because read_table takes folder names like a=b for columns.
        table = pq.ParquetFile(path).read(None if columns is None else list(columns))
        table = table if columns is None else table.select(list(columns))
        table.validate(full=True)
        known = [field for field in declared if field.name in table.column_names]
        for field in known:
            if not field.nullable and table[field.name].null_count:
                raise ValueError(f"column {field.name} has nulls")
        # What the file declares of nulls, and how it calls the elements of lists, is kept, as the
        # next one is written as this was read. Types are equal whatever their elements are called.
        stored = {field.name: field for field in table.schema}
        for field in known:
            if stored[field.name].type != field.type:
                stored[field.name] = stored[field.name].with_type(field.type)
        return table.cast(pa.schema(list(stored.values())))
    except UNREADABLE as error:
        raise CorruptArtifact(
            f"{path.name} cannot be read as this table ({str(error)[:_LONGEST_QUOTE]}).",
            field=path.name,
            remedy="fetch the artifact again, or make it anew.",
        ) from error


def _schema(row: type[Any]) -> pa.Schema:
    hints = get_type_hints(row, include_extras=True)
    declared = [_field(field.name, hints[field.name]) for field in fields(row)]
    return pa.schema([field for field in declared if field is not None])


def _field(name: str, hint: Any) -> pa.Field | None:
    nullable = NoneType in get_args(hint)
    if nullable:
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    kind = _arrow(hint)
    return pa.field(name, kind, nullable=nullable) if isinstance(kind, pa.DataType) else None


def _arrow(hint: Any) -> pa.DataType:
    if get_origin(hint) is Annotated:
        return hint.__metadata__[0]
    if get_origin(hint) is tuple:
        return pa.list_(_arrow(get_args(hint)[0]))
    if is_dataclass(hint):
        # Nulls are not declared within a list: so tables have been written from the beginning.
        assert isinstance(hint, type)
        return pa.struct([(field.name, field.type) for field in _schema(hint)])
    return _SCALARS[hint]
