"""What is odd about the cells of a column: placeholders for what is not known, damaged text, ids
that are none or that look alike."""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute

from reclens.contracts import ColumnNames
from reclens.data.sources.encodings import DAMAGED, misread
from reclens.data.sources.findings import Level, clipped
from reclens.errors import MalformedData

_pc: Any = pyarrow.compute
_PLACEHOLDERS: Final = (
    *("(no genres listed)", "unknown", "unkonwn", "undefined", "n/a", "na", "#n/a", "<na>"),
    *("nan", "null", "none", "-", "--", "?", "\\n"),
)
"""In small letters. "unkonwn" is how RecBole spells a title of MovieLens-100K; ``\\n`` is the
backslash and the N by which databases write NULL."""
_HIDDEN: Final = "[\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff]"
PLACEHOLDERS_REMEDY: Final = (
    "set source.columns.placeholders to those that there are, or to [] for none."
)


class Table(Protocol):
    """What is asked of a `SourceTable`."""

    @property
    def spec(self) -> ColumnNames: ...

    def tell(
        self, code: str, level: Level, rows: Any, name: str, message: str, *, remedy: str = ""
    ) -> None: ...

    def refuse(self, row: int, name: str, problem: str, *, remedy: str = "") -> MalformedData: ...


def placeholders(columns: ColumnNames) -> frozenset[str]:
    """Texts, in small letters, that stand for what is not known."""
    chosen = columns.placeholders
    return frozenset(_PLACEHOLDERS if chosen is None else (text.lower() for text in chosen))


def without_placeholders(table: Table, name: str, text: pa.StringArray) -> pa.StringArray:
    """``text`` [n] of a column, empty where a placeholder stands."""
    found = _are_placeholders(table, text)
    tell_placeholders(table, name, found.to_numpy(zero_copy_only=False))
    return _pc.if_else(found, "", text)


def tell_placeholders(table: Table, name: str, rows: Any) -> None:
    """Tell that ``rows`` have placeholders, which are left out."""
    table.tell(
        "placeholders",
        "note",
        rows,
        name,
        "placeholders are taken for what they stand for: nothing.",
        remedy=PLACEHOLDERS_REMEDY,
    )


def check_ids(table: Table, name: str, text: pa.StringArray) -> None:
    """Refuse ids that are placeholders, unless one row has it; tell those that look like others.

    Raises:
        MalformedData: several rows have the same placeholder for an id.
    """
    distinct = text.unique()
    odd = _pc.or_(_are_placeholders(table, distinct), _pc.match_substring_regex(distinct, _HIDDEN))
    if not _pc.any(odd).as_py():
        return  # most often, and sooner
    found = _are_placeholders(table, text)
    rows = np.flatnonzero(found.to_numpy(zero_copy_only=False))
    if len(rows):
        values, counts = np.unique(text.take(pa.array(rows)).to_pylist(), return_counts=True)
        most = int(np.argmax(counts))
        if counts[most] > 1:
            raise table.refuse(
                text.index(str(values[most])).as_py(),
                name,
                f"the id is a placeholder, in {counts[most]:,} rows: they have none",
                remedy="remove these rows; if it is an id, " + PLACEHOLDERS_REMEDY,
            )
        table.tell(
            "placeholder-ids",
            "warning",
            rows,
            name,
            "ids look like placeholders for ids that are missing; they are taken for ids.",
            remedy="remove these rows; if they are ids, " + PLACEHOLDERS_REMEDY,
        )
    hidden = _pc.match_substring_regex(text, _HIDDEN)
    table.tell(
        "hidden-characters",
        "warning",
        hidden.to_numpy(zero_copy_only=False),
        name,
        "ids have characters that nobody sees: they differ from ids without them.",
        remedy="remove these characters.",
    )


def tell_damage(table: Table, name: str, text: pa.StringArray) -> None:
    """Tell of characters that were lost before the file was saved."""
    rows = np.flatnonzero(_pc.match_substring_regex(text, DAMAGED).to_numpy(zero_copy_only=False))
    cells = {int(row): text[int(row)].as_py() for row in rows}
    table.tell(
        "replacement-characters",
        "warning",
        np.array([row for row, cell in cells.items() if "\ufffd" in cell], dtype=np.int64),
        name,
        "texts have characters that were lost before the file was saved (\ufffd).",
        remedy="export the file again, in UTF-8.",
    )
    repaired = {row: before for row, cell in cells.items() if (before := misread(cell))}
    table.tell(
        "mojibake",
        "warning",
        np.array(list(repaired), dtype=np.int64),
        name,
        "texts were UTF-8 that was taken for Windows-1252 before the file was saved; they are "
        f"kept as they are. The first was {clipped(next(iter(repaired.values()), ''))!r}.",
        remedy="export the file again, in UTF-8.",
    )


def _are_placeholders(table: Table, text: pa.StringArray) -> pa.BooleanArray:
    known = pa.array(sorted(placeholders(table.spec)), pa.string())
    return _pc.is_in(_pc.utf8_lower(text), value_set=known)
