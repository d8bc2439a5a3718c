"""Dates and hours in text: ISO 8601, months in words, days and months in figures, a form as told.

A text that can be read in two ways is refused, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reclens.data.sources.columns import SourceTable, first_refused, pc

Seconds = npt.NDArray[np.int64]
Fractions = npt.NDArray[np.float64]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FORMAT_REMEDY: Final = "set source.columns.time_format, e.g. '%d/%m/%Y %H:%M' or '%m/%d/%Y'."
ISO: Final = (
    r"^(?P<year>\d{4})[-/.]?(?P<month>\d{2})[-/.]?(?P<day>\d{2})"
    r"(?:[Tt ]? ?(?P<hour>\d{2}):?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,](?P<part>\d+))?)?"
    r" ?(?P<zone>Z|z|UTC|GMT|[+-]\d{2}:?(?:\d{2})?)?)?$"
)
_CLOCK: Final = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<part>\d{1,6})\d*)?)?"
    r"(?: ?(?P<half>[AaPp][Mm]))?"
)
_ZONE: Final = r"(?: ?(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"
_HOUR: Final = rf"(?:,? {_CLOCK}{_ZONE})?"
_NAMED: Final = tuple(
    re.compile(rf"(?:[A-Z][a-z]+,? )?{form}", re.IGNORECASE)
    for form in (
        rf"(?P<day>\d{{1,2}})[- ](?P<name>[a-z]{{3,9}})\.?[- ,]+(?P<year>\d{{4}}){_HOUR}",
        rf"(?P<name>[a-z]{{3,9}})\.? (?P<day>\d{{1,2}}),? (?P<year>\d{{4}}){_HOUR}",
        rf"(?P<name>[a-z]{{3}}) +(?P<day>\d{{1,2}}) {_CLOCK}{_ZONE} (?P<year>\d{{4}})",
    )
)
_FIGURES: Final = re.compile(
    rf"(?P<first>\d{{1,2}})[/.-](?P<other>\d{{1,2}})[/.-](?P<year>\d{{4}}){_HOUR}"
)
_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec"


class Times(NamedTuple):
    """Points in time of all rows."""

    seconds: Seconds
    """[n] since 1970, UTC, rounded down."""
    fractions: Fractions | None
    """[n] the rest, from 0 to less than 1; None where it is 0 in all rows."""


def read_iso(table: SourceTable, name: str, text: pa.StringArray) -> Times:
    parts = pc.extract_regex(text, ISO)
    field = {one.name: parts.field(one.name) for one in parts.type}
    n = len(text)
    without_clock = pc.equal(field["hour"], "")
    clock = {
        key: pc.if_else(pc.equal(field[key], ""), "00", field[key])
        for key in ("hour", "minute", "second")
    }
    day = pc.binary_join_element_wise(field["year"], field["month"], field["day"], "-")
    hour = pc.binary_join_element_wise(clock["hour"], clock["minute"], clock["second"], ":")
    moments = pc.binary_join_element_wise(day, hour, "T")
    try:
        seconds = moments.cast(pa.timestamp("s")).cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        row = first_refused(moments, pa.timestamp("s"))
        raise table.refuse(row, name, "there is no such day or hour") from None
    zones = field["zone"].dictionary_encode()
    offsets = np.array([_offset(zone) for zone in zones.dictionary.to_pylist()], dtype=np.int64)
    seconds = seconds - offsets[zones.indices.to_numpy()]
    dates_alone = without_clock.to_numpy(zero_copy_only=False)
    if dates_alone.any():
        _tell_days(table, name, dates_alone)
    without_zone = pc.equal(field["zone"], "").to_numpy(zero_copy_only=False)
    tell_zone(table, name, without_zone & ~dates_alone)
    return Times(seconds, decimals(field["part"]) if n else None)


def _tell_days(table: SourceTable, name: str, dates_alone: npt.NDArray[np.bool_]) -> None:
    table.tell(
        "times-in-days",
        "note" if dates_alone.all() else "warning",
        dates_alone,
        name,
        "times are days without an hour: rows of one day keep the order of the file"
        + ("." if dates_alone.all() else ", and come before those that have an hour."),
    )


def _offset(zone: str) -> int:
    """Seconds east of UTC of ``+02:00``, ``-0330``, ``Z`` or nothing."""
    digits = zone[1:].replace(":", "").ljust(4, "0")
    if not digits.isdigit() or zone[:1] not in "+-" or not zone:
        return 0
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


_Parse = Callable[[str], datetime | None]


def read_each(table: SourceTable, name: str, parse: _Parse) -> Times:
    """Every distinct text by ``parse``; a moment without a zone is in UTC."""
    encoded = table.text(name).dictionary_encode()
    texts: list[str] = encoded.dictionary.to_pylist()
    index = encoded.indices.to_numpy()
    moments = [parse(text) for text in texts]
    if None in moments:
        refused = np.array([moment is None for moment in moments])[index]
        row = int(np.flatnonzero(refused)[0])
        raise table.refuse(
            row,
            name,
            "the time is of no form that is known"
            if row == 0
            else f"the time is written otherwise than that of line {table.line_of(0)}",
            remedy=_FORMAT_REMEDY,
        )
    found = [moment for moment in moments if moment is not None]
    naive = np.array([moment.tzinfo is None for moment in found])[index]
    aware = [moment.replace(tzinfo=moment.tzinfo or UTC) for moment in found]
    micros = np.array(
        [
            (delta.days * 86_400 + delta.seconds) * 10**6 + delta.microseconds
            for delta in (moment - _EPOCH for moment in aware)
        ],
        dtype=np.int64,
    )[index]
    days = np.array([(m.hour, m.minute, m.second, m.microsecond) == (0, 0, 0, 0) for m in found])
    if days.all():
        _tell_days(table, name, np.ones(len(index), dtype=bool))
    else:
        tell_zone(table, name, naive)
    return at_scale(micros, None, 10**6)


def by_format(form: str) -> _Parse:
    def parse(text: str) -> datetime | None:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            return None

    return parse


def in_words(table: SourceTable, name: str, text: pa.StringArray) -> _Parse:
    """The form of the first row: a month in words, or a day and a month in figures."""
    first: str = text[0].as_py()
    for pattern in _NAMED:
        if pattern.fullmatch(first):
            return lambda value: _moment(pattern.fullmatch(value))
    if _FIGURES.fullmatch(first) is None:
        return lambda _: None
    day_first = _day_first(table, name, text)
    return lambda value: _moment(_FIGURES.fullmatch(value), day_first=day_first)


def _day_first(table: SourceTable, name: str, text: pa.StringArray) -> bool:
    """Whether days come before months: where one of the two is above 12 in some row.

    Raises:
        MalformedData: no row tells, or two rows tell otherwise.
    """
    matches = [_FIGURES.fullmatch(value) for value in text.to_pylist()]
    telling = {
        key: [row for row, match in enumerate(matches) if match and int(match[key]) > 12]
        for key in ("first", "other")
    }
    if bool(telling["first"]) == bool(telling["other"]):
        row = max(telling["first"][:1] + telling["other"][:1], default=0)
        raise table.refuse(
            row,
            name,
            "the time has day and month in an order that is unknown",
            remedy=_FORMAT_REMEDY,
        )
    day_first = bool(telling["first"])
    (row,) = (telling["first"] or telling["other"])[:1]
    table.tell(
        "day-before-month" if day_first else "month-before-day",
        "note",
        np.arange(len(matches)),
        name,
        f"the {'day' if day_first else 'month'} comes first in times, as line "
        f"{table.line_of(row)} tells.",
        remedy=_FORMAT_REMEDY,
    )
    return day_first


def _moment(match: re.Match[str] | None, *, day_first: bool = False) -> datetime | None:
    if match is None:
        return None
    told = match.groupdict()
    if name := told.get("name"):
        day, month = int(told["day"]), _month(name)
    else:
        first, second = int(told["first"]), int(told["other"])
        day, month = (first, second) if day_first else (second, first)
    hour = int(told["hour"] or 0)
    if half := told["half"]:
        hour = hour % 12 + (12 if half.lower() == "pm" else 0)
    micros = int((told["part"] or "0").ljust(6, "0"))
    try:
        moment = datetime(
            int(told["year"]),
            month,
            day,
            hour,
            int(told["minute"] or 0),
            int(told["second"] or 0),
            micros,
        )
    except ValueError:
        return None
    zone = told["zone"]
    if zone is None:
        return moment
    return moment.replace(tzinfo=timezone(timedelta(seconds=_offset(zone))))


def _month(name: str) -> int:
    """Number of a month in English, 0 of no month."""
    place = _MONTHS.find(name[:3].lower())
    return place // 4 + 1 if place % 4 == 0 else 0


def refuse_other_forms(table: SourceTable, name: str, text: pa.StringArray, form: str) -> None:
    alike = pc.match_substring_regex(text, form)
    if (row := alike.index(False).as_py()) >= 0:
        raise table.refuse(
            row,
            name,
            f"the time is written otherwise than that of line {table.line_of(0)} "
            f"({len(alike) - alike.true_count} rows are)",
            remedy="correct the row or remove it, or set source.columns.time_format.",
        )


def decimals(digits: pa.StringArray) -> Fractions:
    """``digits`` [n] as they stand after the point."""
    dotted = pc.binary_join_element_wise("0", pc.fill_null(digits, ""), "0.")
    values = pa.array(dotted).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.minimum(values, np.nextafter(1.0, 0.0))


def at_scale(whole: Seconds, parts: Fractions | None, per_second: int) -> Times:
    if per_second == 1:
        return Times(whole, parts)
    seconds, rest = np.divmod(whole, per_second)
    fractions = (rest + (0.0 if parts is None else parts)) / per_second
    return Times(seconds, np.minimum(fractions, np.nextafter(1.0, 0.0)))


def tell_zone(table: SourceTable, name: str, without: npt.NDArray[np.bool_]) -> None:
    if without.any():
        table.tell(
            "times-without-zone",
            "note" if without.all() else "warning",
            without,
            name,
            "times name no time zone: they are taken for UTC"
            + ("." if without.all() else ", though other rows name one."),
            remedy="write the zone, e.g. 2020-09-01T11:27:43+02:00, if it is another.",
        )
