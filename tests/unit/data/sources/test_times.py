"""Times in every unit and form, worked out with `date -u`; what cannot be told is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from reclens.contracts import ColumnNames
from reclens.contracts.account import Finding
from reclens.data.sources import Reading, SourceTable, Times, read_times
from reclens.errors import MalformedData

_DAY = 86_400
_2016 = 1_451_692_800  # date -u -d @1451692800: Sat Jan  2 00:00:00 UTC 2016


def _read(values: Any, **columns: Any) -> tuple[Times, list[Finding]]:
    column = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    reading = Reading(ColumnNames(**columns))
    table = SourceTable("f.csv", {"c": column}, lambda row: row + 2, reading)
    return read_times(table, "c"), reading.findings


def _seconds(values: Any, **columns: Any) -> list[int]:
    return _read(values, **columns)[0].seconds.tolist()


def _codes(values: Any, **columns: Any) -> list[tuple[str, str, int, int]]:
    return [(f.code, f.level, f.count, f.line) for f in _read(values, **columns)[1]]


def _refusal(values: Any, **columns: Any) -> str:
    with pytest.raises(MalformedData) as caught:
        _read(values, **columns)
    return caught.value.sentence


# --- numbers -------------------------------------------------------------------------------------


def test_seconds_keep_their_fractions():
    times, findings = _read(["1700000000.981", "1700000000.1", "1700000001", "1700000000.25"])
    assert times.seconds.tolist() == [1700000000, 1700000000, 1700000001, 1700000000]
    assert times.fractions is not None
    assert times.fractions.tolist() == [0.981, 0.1, 0.0, 0.25]
    assert findings == []


def test_whole_seconds_have_no_fractions():
    assert _read(["881250949", "881250950.0"])[0].fractions is None


def test_fractions_of_nanoseconds_are_told_apart():
    times, _ = _read(["1700000000.123456789", "1700000000.123456788"])
    assert times.fractions is not None
    assert times.fractions[0] > times.fractions[1]


def test_times_before_1970_are_rounded_down():
    times, _ = _read(["-0.5", "-1", "1.9"])
    assert times.seconds.tolist() == [-1, -1, 1]
    assert times.fractions is not None
    assert times.fractions.tolist() == pytest.approx([0.5, 0.0, 0.9])


def test_times_scaled_between_0_and_1_are_an_order():
    times, findings = _read(["0.98125", "0.10031", "1", "0"])
    assert times.seconds.tolist() == [0, 0, 1, 0]
    assert times.fractions is not None
    assert times.fractions.tolist() == [0.98125, 0.10031, 0.0, 0.0]
    assert [(f.code, f.level) for f in findings] == [("times-without-dates", "note")]


@pytest.mark.parametrize(("unit", "digits"), [("ms", 3), ("us", 6), ("ns", 9)])
def test_the_unit_is_found_by_the_size_of_numbers_and_told(unit: str, digits: int):
    moments = [f"{_2016}{'123456789'[:digits]}", f"{_2016 + _DAY}{'0' * digits}"]
    for values in (moments, pa.array([int(moment) for moment in moments])):
        times, findings = _read(values)
        assert times.seconds.tolist() == [_2016, _2016 + _DAY]
        assert times.fractions is not None
        assert times.fractions[0] == pytest.approx(float(f"0.{'123456789'[:digits]}"), abs=1e-12)
        (finding,) = findings
        assert (finding.code, finding.level, finding.count) == ("time-unit", "note", 2)
    assert _codes(moments, time_unit=unit) == []


def test_a_unit_that_is_set_is_taken():
    assert _seconds([str(_2016)], time_unit="ms") == [1451692]


def test_milliseconds_among_seconds_are_refused():
    told = _refusal([str(_2016)] * 3 + [f"{_2016 + 1}000"])
    assert "f.csv, line 5, column 'c': the time is in milliseconds" in told
    assert "most rows are in seconds" in told
    assert _seconds([f"{_2016}000"] * 3 + [f"{_2016}"], time_unit="ms")[3] == 1451692


def test_numbers_of_no_unit_are_refused():
    # .NET ticks would be the year 1990 in nanoseconds; 2e10 is the year 2603, or January 1970.
    assert "no unit that gives a year from 1980 to 2100" in _refusal(["20000000000"])


@pytest.mark.parametrize("values", [["20160102", "20160103"], pa.array([20160102, 20160103])])
def test_days_in_eight_figures_are_days(values: Any):
    assert _seconds(values) == [_2016, _2016 + _DAY]
    assert _codes(values) == [("times-in-days", "note", 2, 2)]


def test_days_and_hours_in_fourteen_figures_are_read():
    assert _seconds(["20160102000001", "20160102000100"]) == [_2016 + 1, _2016 + 60]


def test_times_that_lost_their_seconds_are_told():
    assert _codes(["1.7e9", "1.45E+09"]) == [("times-rounded", "warning", 2, 2)]
    single = pa.array([1.7e9, 1.45e9], pa.float32())
    assert ("times-rounded", "warning", 2, 2) in _codes(single)


# --- times that are odd --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        "0",
        "-62135596800",  # year 1
        "253402300799",  # year 9999
        "2208988800",  # year 2040
    ],
)
def test_a_row_far_from_all_others_is_told(odd: str):
    usual = [str(_2016 + day * _DAY) for day in range(30)]
    values = [*usual[:7], odd, *usual[7:]]
    assert _codes(values) == [("time-outliers", "warning", 1, 9)]
    (finding,) = _read(values)[1]
    assert finding.value == odd
    assert "2016-01-02 to 2016-01-31" in finding.message


def test_years_of_rows_with_few_at_first_are_nothing_odd():
    early = [str(_2016 - years * 365 * _DAY) for years in range(1, 10)]
    usual = [str(_2016 + day * _DAY) for day in range(100)]
    assert _codes(early + usual) == []


def test_rows_without_dates_among_dates_are_told():
    assert _codes(["0", "0", "0", str(_2016)]) == [("times-without-dates", "warning", 3, 2)]


# --- dates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2016-01-02T00:00:00Z", _2016),
        ("2016-01-02T02:00:00+02:00", _2016),
        ("2016-01-01 20:30:00 -0330", _2016),
        ("2016-01-02T01:00:00+01", _2016),
        ("2016-01-02 00:00:00 UTC", _2016),
        ("20160102T000000Z", _2016),
        ("2016/01/02 00:01Z", _2016 + 60),
        ("Sat Jan 02 00:00:09 +0000 2016", _2016 + 9),
        ("Sat, 02 Jan 2016 01:00:00 +0100", _2016),
    ],
)
def test_a_moment_with_its_zone_is_read(text: str, seconds: int):
    assert _seconds([text, text]) == [seconds, seconds]
    assert _codes([text]) == []


@pytest.mark.parametrize(
    "text",
    [
        "2016-01-02 00:00:01",
        "2016-01-02T00:00:01",
        "02-Jan-2016 00:00:01",
        "2 January 2016 00:00:01",
        "Jan 2, 2016 12:00:01 AM",
        "Sat Jan  2 00:00:01 2016",
    ],
)
def test_a_moment_without_zone_is_in_utc_and_told(text: str):
    assert _seconds([text]) == [_2016 + 1]
    assert _codes([text]) == [("times-without-zone", "note", 1, 2)]


@pytest.mark.parametrize(
    "text", ["2016-01-02", "2016/01/02", "02-Jan-2016", "January 2, 2016", "2 Jan 2016"]
)
def test_a_day_is_its_midnight_and_told(text: str):
    assert _seconds([text]) == [_2016]
    assert _codes([text]) == [("times-in-days", "note", 1, 2)]


def test_iso_times_keep_fractions_and_may_differ_in_zone_and_letter():
    times, findings = _read(
        ["2020-09-01 11:27:43.599", "2020-09-01 11:27:44.100", "2020-09-01T11:28:00Z"]
    )
    # date -u -d '2020-09-01 11:27:43' +%s
    assert times.seconds.tolist() == [1598959663, 1598959664, 1598959680]
    assert times.fractions is not None
    assert times.fractions.tolist() == [0.599, 0.1, 0.0]
    assert [(f.code, f.level, f.count) for f in findings] == [("times-without-zone", "warning", 2)]


def test_days_among_hours_are_told():
    assert _codes(["2016-01-02", "2016-01-02T10:00Z"]) == [("times-in-days", "warning", 1, 2)]


def test_day_and_month_in_figures_are_read_where_a_row_tells_their_order():
    assert _seconds(["02/01/2016", "25/01/2016"]) == [_2016, _2016 + 23 * _DAY]
    assert _seconds(["01/02/2016 00:01", "01/25/2016 00:00"])[0] == _2016 + 60
    (order, _) = _read(["02.01.2016", "25.01.2016"])[1]
    assert (order.code, order.level) == ("day-before-month", "note")
    assert "line 3" in order.message


@pytest.mark.parametrize(
    ("values", "line"), [(["03/04/2021"], 2), (["13/04/2021", "04/13/2021"], 3)]
)
def test_an_order_of_day_and_month_that_nothing_tells_is_refused(values: list[str], line: int):
    told = _refusal(values)
    assert f"line {line}, column 'c'" in told
    assert "source.columns.time_format" in told


def test_a_form_that_is_set_is_taken():
    assert _seconds(["03/04/2021"], time_format="%d/%m/%Y") == [1617408000]
    assert _seconds(["03/04/2021"], time_format="%m/%d/%Y") == [1614816000]
    told = _refusal(["03/04/2021", "3rd of April"], time_format="%d/%m/%Y")
    assert "line 3" in told


@pytest.mark.parametrize(
    "values",
    [
        ["2016-01-02", str(_2016)],
        [str(_2016), "2016-01-02"],
        ["02-Jan-2016", "Jan 2, 2016"],
        ["2016-01-02", "yesterday"],
    ],
)
def test_a_row_that_is_written_otherwise_is_refused(values: list[str]):
    assert "f.csv, line 3, column 'c': the time is written otherwise" in _refusal(values)


@pytest.mark.parametrize("bad", ["yesterday", "nan", "NaN", "inf", "1_0"])
def test_a_time_that_is_no_number_is_refused(bad: str):
    assert "f.csv, line 4, column 'c': the time is written otherwise" in (
        told := _refusal(["1", "2.5", bad, "3"])
    )
    assert f"got '{bad}'" in told


def test_a_time_outside_64_bits_is_refused():
    assert "line 3, column 'c': the time is outside 64 bits" in _refusal(["1", "1e300"])


def test_missing_times_are_counted():
    told = _refusal(["1", "", " "])
    assert "line 3, column 'c': the time is missing, here and in 1 rows more" in told


@pytest.mark.parametrize("text", ["2016-02-30", "2016-01-02T25:00Z"])
def test_a_day_that_there_is_not_is_refused(text: str):
    assert "line 3, column 'c': there is no such day or hour" in _refusal(["2016-01-02", text])


def test_no_form_at_all_is_refused_with_what_to_set():
    told = _refusal(["soon", "later"])
    assert "line 2, column 'c': the time is of no form that is known, got 'soon'" in told
    assert "source.columns.time_format" in told


# --- types of Parquet ----------------------------------------------------------------------------


def test_dates_and_times_of_parquet_become_seconds():
    moment = datetime(1997, 9, 20, 3, 5, 49, 900_000, tzinfo=UTC)
    times, findings = _read(pa.array([moment]))
    assert times.seconds.tolist() == [874724749]
    assert times.fractions is not None
    assert times.fractions.tolist() == [0.9]
    assert findings == []
    assert _seconds(pa.array([date(1970, 1, 2)])) == [_DAY]


def test_parquet_times_without_zone_are_told():
    moment = datetime(2016, 1, 2)
    assert _codes(pa.array([moment])) == [("times-without-zone", "note", 1, 2)]


def test_a_time_of_day_is_no_point_in_time():
    assert "no point in time" in _refusal(pa.array([1], pa.time64("us")))


@pytest.mark.parametrize("column", [pa.array([1, None]), pa.array([1.0, None])])
def test_a_missing_time_of_parquet_is_refused(column: pa.Array):
    assert "line 3, column 'c'" in _refusal(column)
