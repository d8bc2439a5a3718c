"""Points in time of a column: numbers in any unit, dates in words and in figures, time types.

What a column means is decided once, for all of its rows: numbers by their median, text by the form
of the first row. A row that is written otherwise is refused, and one that lies far from all others
is told.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reclens.contracts.account import TIME_OUTLIERS
from reclens.data.sources.columns import NUMBER, SourceTable, is_text, pc
from reclens.data.sources.dates import (
    ISO,
    Fractions,
    Seconds,
    Times,
    at_scale,
    by_format,
    decimals,
    in_words,
    read_each,
    read_iso,
    refuse_other_forms,
    tell_zone,
)
from reclens.data.sources.raw import rows_as_time

_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_UNITS: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_FROM: Final = 315_532_800  # 1980-01-01
_TO: Final = 4_102_444_800  # 2100-01-01
_YEAR: Final = 365 * 24 * 3600
_UNIT_REMEDY: Final = "set source.columns.time_unit to s, ms, us or ns, or correct the rows."

_DECIMAL: Final = r"^(?P<sign>[+-]?)(?P<whole>\d+)(?:\.(?P<part>\d*))?$"


def read_times(table: SourceTable, name: str) -> Times:
    """Points in time [n] of a column.

    Numbers are seconds, milliseconds, microseconds or nanoseconds: the coarsest unit in which their
    median lies before 2100. Where it lies before 1980 even in seconds, they are an order, no dates.
    Text is ISO 8601, or a date that can be read in one way only. What names no zone is in UTC.

    Raises:
        MalformedData: a time is missing, is written otherwise than the first, or can be read in
            several ways.
    """
    column = table.column(name)
    if pa.types.is_temporal(column.type):
        times = _temporal(table, name)
    elif table.spec.time_format:
        times = read_each(table, name, by_format(table.spec.time_format))
    elif is_text(column):
        times = _of_text(table, name)
    else:
        times = _of_numbers(table, name, *_typed_numbers(table, name))
    if len(times.seconds) and np.median(times.seconds) >= _FROM:
        _tell_outliers(table, name, times.seconds)
    if times.fractions is not None and not times.fractions.any():
        times = Times(times.seconds, None)
    return times


def row_numbers(table: SourceTable) -> Times:
    """Times of a source without times: rows are taken to be in order of time."""
    return Times(rows_as_time(table), None)


def concat_times(parts: list[Times]) -> Times:
    """Those of several tables, one after the other."""
    fractions = None
    if any(part.fractions is not None for part in parts):
        fractions = np.concatenate(
            [np.zeros(len(seconds)) if rest is None else rest for seconds, rest in parts]
        )
    return Times(np.concatenate([part.seconds for part in parts]), fractions)


# --- numbers -------------------------------------------------------------------------------------


def _of_text(table: SourceTable, name: str) -> Times:
    text = table.text(name)
    try:  # most files hold whole numbers, for which this is exact
        return _of_numbers(table, name, text.cast(pa.int64()).to_numpy(zero_copy_only=False), None)
    except pa.ArrowInvalid:
        pass
    missing = pc.equal(text, "")
    if (row := missing.index(True).as_py()) >= 0:
        n = missing.true_count
        raise table.refuse(
            row,
            name,
            f"the time is missing, here and in {n - 1} rows more"
            if n > 1
            else "the time is missing",
            remedy="fill it in, remove the rows, or set source.columns.timestamp to null.",
        )
    first = text[0].as_py()
    if re.match(NUMBER, first.replace(",", ".", 1)):
        text = table.numerals(name)
        refuse_other_forms(table, name, text, NUMBER)
        return _of_numbers(table, name, *_numbers(table, name, text))
    if re.match(ISO, first):
        refuse_other_forms(table, name, text, ISO)
        return read_iso(table, name, text)
    return read_each(table, name, in_words(table, name, text))


def _typed_numbers(table: SourceTable, name: str) -> tuple[Seconds, Fractions | None]:
    column = table.column(name)
    if pa.types.is_integer(column.type):
        table.refuse_nulls(name)
        try:
            return column.cast(pa.int64()).to_numpy(zero_copy_only=False), None
        except pa.ArrowInvalid:
            pass
    return _floored(table, name, table.numbers(name, "the time is no finite number"))


def _numbers(table: SourceTable, name: str, text: pa.StringArray) -> tuple[Seconds, Fractions]:
    """Whole part [n], rounded down, and the rest [n]; exact where they are written in full."""
    parts = pc.extract_regex(text, _DECIMAL)
    if parts.null_count:
        values = text.cast(pa.float64()).to_numpy(zero_copy_only=False)
        rounded = pc.match_substring_regex(text, r"^\D?\d(\.\d{0,7})?[eE]\+?(09|9|1\d)$")
        _tell_precision(table, name, rounded, "powers of ten")
        return _floored(table, name, values)
    negative = pc.equal(parts.field("sign"), "-").to_numpy(zero_copy_only=False)
    try:
        whole = parts.field("whole").cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return _floored(table, name, text.cast(pa.float64()).to_numpy(zero_copy_only=False))
    fraction = decimals(parts.field("part"))
    whole = np.where(negative, -whole, whole)
    borrow = negative & (fraction > 0)
    return whole - borrow, np.where(borrow, 1 - fraction, fraction)


def _floored(
    table: SourceTable, name: str, values: npt.NDArray[np.float64]
) -> tuple[Seconds, Fractions]:
    whole = np.floor(values)
    if len(outside := np.flatnonzero(~(np.abs(whole) < 2.0**63))):
        raise table.refuse(int(outside[0]), name, "the time is outside 64 bits")
    if pa.types.is_float32(table.column(name).type) and np.abs(values).max() > 2**24:
        _tell_precision(table, name, pa.array(np.ones(len(values), dtype=bool)), "32 bits")
    return whole.astype(np.int64), values - whole


def _tell_precision(table: SourceTable, name: str, rounded: pa.BooleanArray, what: str) -> None:
    if rounded.true_count:
        table.tell(
            "times-rounded",
            "warning",
            rounded.to_numpy(zero_copy_only=False),
            name,
            f"times are written in {what}, and have lost seconds: the order of rows may be wrong.",
            remedy="export the file again with times in full.",
        )


def _of_numbers(table: SourceTable, name: str, whole: Seconds, parts: Fractions | None) -> Times:
    if len(whole) == 0:
        return Times(whole, parts)
    median = int(np.partition(whole, len(whole) // 2)[len(whole) // 2])
    unit = table.spec.time_unit
    if unit is None:
        if _are_compact_dates(whole, parts, median):
            return read_iso(table, name, table.text(name))
        unit = _unit_of(table, name, whole, median)
        if unit is None:
            return Times(whole, parts)
    per_second = _PER_SECOND[unit]
    if table.spec.time_unit is None:
        _refuse_other_units(table, name, whole, unit)
        if unit != "s":
            table.tell(
                "time-unit",
                "note",
                np.arange(len(whole)),
                name,
                f"times are numbers of {_UNITS[unit]}, half of them before "
                f"{_day(median // per_second)}.",
                remedy=_UNIT_REMEDY,
            )
    return at_scale(whole, parts, per_second)


def _are_compact_dates(whole: Seconds, parts: Fractions | None, median: int) -> bool:
    """Whether all are written as ``20210304`` or ``20210304112743``."""
    if parts is not None or not _is_compact_date(np.array([median])).all():
        return False  # most often, and sooner
    return bool(_is_compact_date(whole).all())


def _is_compact_date(whole: Seconds) -> npt.NDArray[np.bool_]:
    day, clock = np.where(whole < 10**8, whole, whole // 10**6), whole % 10**6
    year, month, of_month = day // 10_000, day // 100 % 100, day % 100
    fits = (year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12)
    fits &= (of_month >= 1) & (of_month <= 31)
    return fits & ((whole < 10**8) | (clock < 24_00_00))


def _unit_of(table: SourceTable, name: str, whole: Seconds, median: int) -> str | None:
    """The unit; None where the numbers are no dates."""
    if median < _FROM:
        dated = np.flatnonzero(whole >= _FROM)
        table.tell(
            "times-without-dates",
            "warning" if len(dated) else "note",
            np.flatnonzero(whole < _FROM),
            name,
            f"times are no dates in any unit (median {median}): they are taken for an order alone"
            + (f", though {len(dated)} rows have dates." if len(dated) else "."),
            remedy=_UNIT_REMEDY,
        )
        return None
    for unit, per_second in _PER_SECOND.items():
        if median < _TO * per_second:
            if median >= _FROM * per_second:
                return unit
            break
    raise table.refuse(
        int(np.flatnonzero(whole == median)[0]),
        name,
        "the time is of no unit that gives a year from 1980 to 2100",
        remedy="set source.columns.time_unit to s, ms, us or ns, or source.columns.time_format.",
    )


def _refuse_other_units(table: SourceTable, name: str, whole: Seconds, unit: str) -> None:
    own = _PER_SECOND[unit]
    outside = np.flatnonzero((whole < _FROM * own) | (whole > _TO * own))
    for other, per_second in _PER_SECOND.items():
        among = whole[outside]
        fits = outside[(among >= _FROM * per_second) & (among / per_second <= _TO)]
        if other != unit and len(fits):
            raise table.refuse(
                int(fits[0]),
                name,
                f"the time is in {_UNITS[other]}, those of most rows are in {_UNITS[unit]} "
                f"({len(fits)} rows are in {_UNITS[other]})",
                remedy="write all in one unit, or set source.columns.time_unit to take them as is.",
            )


def _tell_outliers(table: SourceTable, name: str, seconds: Seconds) -> None:
    """Tell rows at or before 1970, after 2100, or beyond a gap of more than a year that is longer
    than twice the time in which the middle half of all rows lies."""
    ordered = np.sort(seconds)
    n = len(ordered)
    low, high = ordered[n // 4], ordered[n - 1 - n // 4]
    gaps = np.diff(ordered) > max(_YEAR, 2 * (int(high) - int(low)))
    below, above = np.flatnonzero(gaps[: n // 4]), np.flatnonzero(gaps[n - 1 - n // 4 :])
    first = int(ordered[below[-1] + 1]) if len(below) else 1
    last = int(ordered[n - 1 - n // 4 + above[0]]) if len(above) else _TO
    first, last = max(first, 1), min(last, _TO)
    odd = (seconds < first) | (seconds > last)
    if odd.any() and not odd.all():
        usual = seconds[~odd]
        row = int(np.flatnonzero(odd)[0])
        table.tell(
            TIME_OUTLIERS,
            "warning",
            odd,
            name,
            f"times lie far from those of all other rows ({_day(int(usual.min()))} to "
            f"{_day(int(usual.max()))}): the first is {_day(int(seconds[row]))}.",
            remedy="correct the rows or remove them: splits count from first to last.",
        )


def _day(seconds: int) -> str:
    try:
        return str(np.datetime64(seconds, "s").astype("datetime64[D]"))
    except (OverflowError, ValueError):
        return f"{seconds} seconds"


# --- time types ----------------------------------------------------------------------------------


def _temporal(table: SourceTable, name: str) -> Times:
    column = table.column(name)
    table.refuse_nulls(name)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if not pa.types.is_timestamp(column.type):
        raise table.refuse(0, name, f"a {column.type} is no point in time")
    times = at_scale(
        column.cast(pa.int64()).to_numpy(zero_copy_only=False), None, _PER_SECOND[column.type.unit]
    )
    if column.type.tz is None:
        tell_zone(table, name, np.ones(len(column), dtype=bool))
    return times
