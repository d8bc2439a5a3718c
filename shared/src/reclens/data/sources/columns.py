"""Columns of a source file, converted whole; a cell that cannot be converted is named exactly."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from reclens.contracts import ColumnNames
from reclens.data.sources.findings import Level, Reading
from reclens.data.sources.oddities import (
    check_ids,
    placeholders,
    tell_damage,
    tell_placeholders,
    without_placeholders,
)
from reclens.errors import MalformedData

pc: Any = pyarrow.compute
"""Its functions are made at import, where no type checker sees them."""

_MAX_YEAR = 9999
_EXACT = 2.0**53  # whole numbers from here on are not told apart as floats
NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


class SourceTable:
    """Named columns of one file.

    Args:
        file: the file's name, for messages.
        columns: arrays of equal length, text or the types of a Parquet file.
        line_of: line (from 1) of a row (from 0).
        reading: how the specification says that cells are written, and where findings go.
    """

    def __init__(
        self,
        file: str,
        columns: dict[str, pa.Array],
        line_of: Callable[[int], int],
        reading: Reading | None = None,
    ) -> None:
        self.file = file
        self.line_of = line_of
        self.reading = reading or Reading()
        self._columns = columns

    @property
    def spec(self) -> ColumnNames:
        """How the specification says that cells are written."""
        return self.reading.columns

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), ()))

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return list(self._columns)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def renamed(self, names: Sequence[str]) -> SourceTable:
        """The same columns under other names, in order."""
        columns = dict(zip(names, self._columns.values(), strict=True))
        return SourceTable(self.file, columns, self.line_of, self.reading)

    def take(self, rows: npt.NDArray[np.int64]) -> SourceTable:
        """The same columns with ``rows`` alone, in their order."""
        columns = {name: column.take(pa.array(rows)) for name, column in self._columns.items()}
        return SourceTable(
            self.file, columns, lambda row: self.line_of(int(rows[row])), self.reading
        )

    def require(self, *names: str, remedy: str = "") -> None:
        """Check that all of ``names`` are there.

        Raises:
            MalformedData: names the first that is not.
        """
        for name in names:
            if name not in self._columns:
                if self.names and all(re.fullmatch(NUMBER, one) for one in self.names):
                    remedy = "the first line has numbers: list names in source.columns.names."
                raise MalformedData(
                    f"{self.file}, line 1, column {name!r}: the column is missing; the file has "
                    f"{len(self.names)} of other names.",
                    field=name,
                    remedy=remedy or "add the column or name the right one.",
                )

    def refuse(self, row: int, name: str, problem: str, *, remedy: str = "") -> MalformedData:
        """The error for one cell."""
        value = self._columns[name][row].as_py()
        return MalformedData.at(self.file, self.line_of(row), name, value, problem, remedy=remedy)

    def tell(
        self,
        code: str,
        level: Level,
        rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64],
        name: str,
        message: str,
        *,
        remedy: str = "",
    ) -> None:
        """Add a finding about ``rows``, a mask [n] or row numbers; none where there are none."""
        found = np.flatnonzero(rows) if rows.dtype == bool else rows
        if len(found) == 0:
            return
        first = int(found[0])
        self.reading.tell(
            code,
            level,
            len(found),
            message,
            file=self.file,
            line=self.line_of(first),
            column=name,
            value=self._columns[name][first].as_py(),
            remedy=remedy,
        )

    # --- conversions -----------------------------------------------------------------------------

    def ids(self, name: str) -> pa.StringArray:
        """Identifiers [n] as text without surrounding white space.

        Raises:
            MalformedData: an id is empty, or a placeholder in several rows.
        """
        text = self.text(name)
        row = text.index("").as_py()
        if row >= 0:
            n = pc.equal(text, "").true_count
            raise self.refuse(row, name, "the id is empty" + (f" (in {n:,} rows)" if n > 1 else ""))
        column = self._columns[name]
        if pa.types.is_floating(column.type) and pc.max(pc.abs(column)).as_py() >= _EXACT:
            row = int(np.argmax(pc.abs(column).to_numpy(zero_copy_only=False)))
            raise self.refuse(row, name, "the id is a number with decimals, and has lost figures")
        if is_text(column):
            self.tell(
                "ids-with-white-space",
                "note",
                pc.not_equal(column, text).fill_null(False).to_numpy(zero_copy_only=False),
                name,
                "ids have white space around them, which is dropped.",
            )
        check_ids(self, name, text)
        return text

    def unique_ids(self, name: str) -> list[str]:
        """Identifiers [n] of which no two are equal.

        Raises:
            MalformedData: an id is empty or comes twice.
        """
        ids: list[str] = self.ids(name).to_pylist()
        seen: set[str] = set()
        for row, value in enumerate(ids):
            if value in seen:
                raise self.refuse(row, name, "the id comes a second time")
            seen.add(value)
        return ids

    def texts(self, name: str) -> list[str]:
        """Text [n] without surrounding white space; may be empty."""
        text = self.text(name)
        tell_damage(self, name, text)
        return text.to_pylist()

    def described(self, *names: str) -> list[str]:
        """What the first of ``names`` that is a column tells [n], as text; empty where none is, and
        where a placeholder stands."""
        name = next((name for name in names if name in self), None)
        if name is None:
            return [""] * len(self)
        text = without_placeholders(self, name, self.text(name))
        tell_damage(self, name, text)
        return text.to_pylist()

    def ratings(self, name: str) -> npt.NDArray[np.float32]:
        """Ratings [n].

        Raises:
            MalformedData: a value is not a finite number.
        """
        return self.numbers(name, "the rating is not a finite number").astype(np.float32)

    def years(self, name: str) -> list[int | None]:
        """Years [n]; None where a cell is empty, a placeholder or 0.

        Raises:
            MalformedData: a value is not a year between 0 and 9999.
        """
        years: list[int | None] = []
        texts = self.described(name)
        for row, value in enumerate(texts):
            number = value.removesuffix(".0")  # how tables with gaps write whole numbers
            if not value:
                years.append(None)
            elif number.isascii() and number.isdigit() and int(number) <= _MAX_YEAR:
                years.append(int(number))
            else:
                alike = any(text[:4].isdigit() for text in texts)
                remedy = "" if alike else "no row has a year there: name another column."
                raise self.refuse(row, name, "not a year", remedy=remedy)
        tell_placeholders(self, name, np.array([year == 0 for year in years], dtype=bool))
        return [year or None for year in years]

    def tags(self, name: str, separator: str) -> list[tuple[str, ...]]:
        """Tags [n]: a list column as it is, text divided at ``separator``; no placeholders."""
        column = self._columns[name]
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            divided = [clean_tags([str(tag) for tag in tags or ()]) for tags in column.to_pylist()]
        else:
            divided = [clean_tags(text.split(separator)) for text in self.texts(name)]
        return self.real_tags(name, divided)

    def real_tags(self, name: str, tags: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        """Tags [n] of a column without placeholders."""
        known = placeholders(self.spec)
        kept = [tuple(tag for tag in one if tag.lower() not in known) for one in tags]
        fewer = [len(one) < len(all_) for one, all_ in zip(kept, tags, strict=True)]
        tell_placeholders(self, name, np.array(fewer, dtype=bool))
        return kept

    def flags(self, name: str) -> npt.NDArray[np.bool_]:
        """Marks [n] that are written 0 or 1.

        Raises:
            MalformedData: a value is neither.
        """
        values = self.text(name).to_numpy(zero_copy_only=False)
        raised = values == "1"
        refused = np.flatnonzero(~raised & (values != "0"))
        if len(refused):
            raise self.refuse(int(refused[0]), name, "neither 0 nor 1")
        return raised

    def attributes(self, key: str) -> dict[str, dict[str, str]]:
        """What each row tells of the id in column ``key``: text by column, empty cells left out.

        Raises:
            MalformedData: the column is missing, or an id is empty or comes twice.
        """
        self.require(key)
        attributes: dict[str, dict[str, str]] = {one: {} for one in self.unique_ids(key)}
        for name in self.names:
            if name != key:
                for told, value in zip(attributes.values(), self.texts(name), strict=True):
                    if value:
                        told[name] = value
        return attributes

    # --- what other conversions are made of ------------------------------------------------------

    def column(self, name: str) -> pa.Array:
        """The column [n] as the file has it."""
        return self._columns[name]

    def text(self, name: str) -> pa.StringArray:
        """The column [n] as text without surrounding white space; empty where a cell is missing.

        Raises:
            MalformedData: its type has no text, e.g. a list.
        """
        column = self._columns[name]
        try:
            text = column.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            kind = str(column.type).partition("<")[0]  # its fields have names of the file's own
            raise MalformedData(
                f"{self.file}, column {name!r}: cells of type {kind} cannot be read as text.",
                field=name,
                remedy="write the column as text or numbers, or name another one.",
            ) from None
        return pc.utf8_trim_whitespace(text.fill_null(""))

    def numbers(self, name: str, problem: str) -> npt.NDArray[np.float64]:
        """The column [n] as numbers.

        Raises:
            MalformedData: says ``problem`` of the first that is no finite number.
        """
        column = self._columns[name]
        if is_text(column):
            column = self.numerals(name)
        try:
            numbers = column.cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            remedy = ""
            if is_text(column) and not pc.any(pc.match_substring_regex(column, NUMBER)).as_py():
                remedy = "no row has a number there: name another column."
            raise self.refuse(
                first_refused(column, pa.float64()), name, problem, remedy=remedy
            ) from None
        values = numbers.to_numpy(zero_copy_only=False)
        refused = np.flatnonzero(~np.isfinite(values))
        if len(refused):
            raise self.refuse(int(refused[0]), name, problem)
        return values

    def numerals(self, name: str) -> pa.StringArray:
        """A column of text [n] with a point before decimals, where it has commas there.

        Raises:
            MalformedData: a comma may stand before decimals or thousands.
        """
        text = self.text(name)
        commas = pc.match_substring(text, ",")
        if self.spec.decimal == ".":
            return text
        if self.spec.decimal is None:
            if (row := commas.index(True).as_py()) < 0:
                return text
            decimals = pc.match_substring_regex(text, r"^[+-]?\d*,(\d{1,2}|\d{4,})$")
            if pc.any(pc.match_substring(text, ".")).as_py() or not pc.any(decimals).as_py():
                raise self.refuse(
                    row,
                    name,
                    "a comma that may stand before decimals or thousands",
                    remedy="set source.columns.decimal to ',' or write numbers with a point.",
                )
            self.tell(
                "decimal-comma",
                "note",
                commas.to_numpy(zero_copy_only=False),
                name,
                "commas in numbers are read as decimal points.",
                remedy="set source.columns.decimal to '.' to refuse them.",
            )
        points = pc.match_substring(text, ".")
        return pc.replace_substring(pc.if_else(points, "a point", text), ",", ".")

    def refuse_nulls(self, name: str) -> None:
        """Check that no cell is missing.

        Raises:
            MalformedData: names the first that is.
        """
        row = self._columns[name].is_null().index(True).as_py()
        if row >= 0:
            raise self.refuse(row, name, "the value is missing")


def is_text(column: pa.Array) -> bool:
    """Whether a column is text."""
    return pa.types.is_string(column.type) or pa.types.is_large_string(column.type)


def clean_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags without surrounding white space, empty ones and repetitions."""
    return tuple(dict.fromkeys(stripped for tag in tags if (stripped := tag.strip())))


def first_refused(column: pa.Array, target: pa.DataType) -> int:
    """First row that does not cast, by halving: exactly the rule of the fast cast that failed."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            column.slice(low, middle - low).cast(target)
            low = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            high = middle
    return low
