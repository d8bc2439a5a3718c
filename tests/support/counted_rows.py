"""What an import must have counted, from the same bytes by other means: Python's csv, and SQL."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import duckdb
import numpy as np
from dirty_files import FIRST, Source

_NANOS = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR = 365 * 86_400


class Unreadable(Exception):
    """There is a row that nobody can read."""


def read_rows(source: Source, codes: Collection[str]) -> list[dict[str, Any]]:
    """The rows of the interactions; times in nanoseconds.

    Args:
        source: whose rows.
        codes: of what the import told: that quotes are text is taken from it.

    Raises:
        Unreadable: a row or the file cannot be read.
    """
    if source.rows is not None:
        if source.damage != "none":
            raise Unreadable
        rated = "rating" in source.spec["source"]["columns"]
        return [row if rated else {**row, "stars": 0.0} for row in source.rows]
    names, *rows = _records(source, quoted="quotes-are-text" not in codes)
    names = [name.strip() for name in names]
    wanted = ["user_id", "item_id", "timestamp"]
    has_ratings = "rating" in source.spec["source"]["columns"]
    wanted += ["stars"] if has_ratings else []
    if any(names.count(name) != 1 for name in wanted) or any(len(r) != len(names) for r in rows):
        raise Unreadable
    found = [dict(zip(names, (cell.strip() for cell in row), strict=True)) for row in rows]
    if any(not row["user_id"] or not row["item_id"] for row in found):
        raise Unreadable
    times = _times([row["timestamp"] for row in found])
    return [
        {
            "user_id": row["user_id"],
            "item_id": row["item_id"],
            "timestamp": time,
            "stars": _rating(row["stars"]) if has_ratings else 0.0,
        }
        for row, time in zip(found, times, strict=True)
    ]


def _records(source: Source, *, quoted: bool) -> list[list[str]]:
    (data, *_) = source.files.values()
    try:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        text = data.decode("utf-8-sig" if source.encoding == "utf-8" else source.encoding)
    except (UnicodeError, EOFError, OSError, zlib.error):
        raise Unreadable from None
    csv.field_size_limit(1 << 30)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=source.delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )
    records = [row for row in reader if row]
    if not records:
        raise Unreadable
    return records


def _rating(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise Unreadable from None
    if not np.isfinite(value):
        raise Unreadable
    return value


def _times(texts: list[str]) -> list[int]:
    """Nanoseconds since 1970, by what the most of ``texts`` are."""
    try:
        if not re.fullmatch(r"\d{4}-.*", texts[0]):
            numbers = [Decimal(text) for text in texts]
            if not all(number.is_finite() for number in numbers):
                raise Unreadable
            middle = sorted(numbers)[len(numbers) // 2]
            scale = 1
            while middle >= 10 * FIRST * scale and scale < _NANOS:
                scale *= 1000
            return [int(number * _NANOS / scale) for number in numbers]
        moments = [datetime.fromisoformat(text) for text in texts]
    except (InvalidOperation, ValueError, IndexError):
        raise Unreadable from None
    passed = [(m if m.tzinfo else m.replace(tzinfo=UTC)) - _EPOCH for m in moments]
    return [((one.days * 86_400 + one.seconds) * 10**6 + one.microseconds) * 1000 for one in passed]


# --- counting ------------------------------------------------------------------------------------

_COUNT = """
select
  (select count(*) - count(distinct (u, i)) from kept),
  (select count(*) from kept a
     where exists (select 1 from kept b where a.u = b.u and a.t = b.t and a.i <> b.i)),
  (select count(distinct u) from kept), (select count(distinct i) from kept),
  (select min(t) from kept), (select max(t) from kept),
  {splits}
"""
_SPLIT = """
  (select count(*) from parts where part = {p}),
  (select count(distinct u) from parts where part = {p}),
  (select count(distinct i) from parts where part = {p}),
  (select count(distinct u) from parts a where part = {p}
     and exists (select 1 from parts b where b.part < {p} and b.u = a.u)
     and not exists (select 1 from parts b where b.part < {p} and b.u = a.u and b.i = a.i)),
  (select count(distinct u) from parts a where part = {p}
     and u not in (select u from parts where part = 0)),
  (select count(distinct i) from parts a where part = {p}
     and i not in (select i from parts where part = 0))
"""
_PARTS = {
    "leave-one-out": """case when count(*) over (partition by u) < 3 then 0 else
        case row_number() over (partition by u order by t desc, n desc)
          when 1 then 2 when 2 then 1 else 0 end end""",
    "global-time": """case
        when t >= (select t from kept order by t limit 1 offset
          least(cast(floor(0.9 * (select count(*) from kept)) as int),
                (select count(*) - 1 from kept))) then 2
        when t >= (select t from kept order by t limit 1 offset
          least(cast(floor(0.8 * (select count(*) from kept)) as int),
                (select count(*) - 1 from kept))) then 1
        else 0 end""",
}
_SPLIT_FIELDS = (
    "interactions",
    "users",
    "items",
    "evaluable_users",
    "cold_users",
    "cold_items",
)


def count_rows(source: Source, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The account, without findings; None where nothing is left of the rows."""
    spec = source.spec
    table = _database()
    columns = {
        "n": np.arange(len(rows)),
        "u": np.array([row["user_id"] for row in rows], dtype=object),
        "i": np.array([row["item_id"] for row in rows], dtype=object),
        "t": np.array([row["timestamp"] for row in rows], dtype=np.int64),
        "r": np.array([row["stars"] for row in rows], dtype=np.float64),
    }
    table.register("given", columns)
    table.execute("create or replace table kept as select * from given").fetchall()
    table.unregister("given")
    first = "(select min(n) from kept group by u, i, t, r)"

    def one(query: str) -> int:
        return table.execute(query).fetchall()[0][0]

    def left_out(condition: str) -> int:
        before = one("select count(*) from kept")
        table.execute(f"delete from kept where {condition}").fetchall()
        return before - one("select count(*) from kept")

    account: dict[str, Any] = {
        "rows_read": len(rows),
        "exact_copies": len(rows) - one(f"select count(*) from {first}"),
        "users_read": one("select count(distinct u) from kept"),
        "items_read": one("select count(distinct i) from kept"),
    }
    met = {row["item_id"] for row in rows}
    copies = left_out(f"n not in {first}") if spec["copies"] == "drop" else 0
    low = left_out(f"r < {spec['min_rating']}") if "min_rating" in spec else 0
    few = 0
    while gone := left_out(
        f"u in (select u from kept group by u having count(*) < {spec['k_core']}) or "
        f"i in (select i from kept group by i having count(*) < {spec['k_core']})"
    ):
        few += gone
    account["rows_dropped"] = {"copies": copies, "min_rating": low, "k_core": few}
    account["rows_kept"] = len(rows) - copies - low - few
    if not account["rows_kept"]:
        return None
    part = _PARTS[spec["split"]["kind"]]
    divided = f"create or replace table parts as select *, {part} as part from kept"
    table.execute(divided).fetchall()
    splits = ",".join(_SPLIT.format(p=part) for part in range(3))
    (counted,) = table.execute(_COUNT.format(splits=splits)).fetchall()
    repeats, ties, users, items, first_time, last_time, *parts = counted
    account |= {"repeats": repeats, "ties": ties, "users": users, "items": items}
    account |= {"first_time": first_time // _NANOS, "last_time": last_time // _NANOS}
    account["splits"] = {
        name: dict(zip(_SPLIT_FIELDS, parts[place * 6 : place * 6 + 6], strict=True))
        for place, name in enumerate(("train", "valid", "test"))
    }
    account["splits"]["train"]["evaluable_users"] = 0
    left = {item for (item,) in table.execute("select distinct i from kept").fetchall()}
    texts = [source.described.get(item, ("", "")) for item in left]
    account |= {
        "titled": sum(bool(title) for title, _ in texts),
        "tagged": sum(bool(tags) for _, tags in texts),
        "undescribed": sum(not title and not tags for title, tags in texts),
        "unmet": len(source.described.keys() - met),
    }
    return account


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """One for all: to make one takes longer than to count."""
    return duckdb.connect(config={"threads": 1})
