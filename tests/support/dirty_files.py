"""Sources as they are met in the wild: tables in any dialect, some of them damaged."""

from __future__ import annotations

import csv
import gzip
import io
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

FIRST = 1_262_304_000
"""2010-01-01: the earliest time that is written."""
_SPAN = 200_000_000
_LETTERS = string.ascii_letters + string.digits
_ODD = "é\"ß,;|\t 漢字🎬'#\\"
_CSV_KINDS = ["minimal", "all", "none"]


@dataclass
class Source:
    """One source: its files, the specification that reads it, and what is known of it."""

    files: dict[str, bytes] = field(repr=False)
    """By name; the first has the interactions."""
    spec: dict[str, Any]
    """Without the path of the source."""
    delimiter: str = ""
    """Of the interactions, for whoever counts them; empty of Parquet."""
    encoding: str = "utf-8"
    """Of the interactions."""
    quoted: bool = True
    """Whether quotes were written to enclose cells."""
    rows: list[dict[str, Any]] | None = field(default=None, repr=False)
    """Of Parquet: what was written."""
    described: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    """Title and tags by item id."""
    damage: str = "none"
    """What was done to the interactions."""
    line: int = 0
    """Line of the damage, where it is of one row and certain."""

    def __str__(self) -> str:
        """What a failed test shows: the beginning of each file."""
        shown = {name: data[:200] + b" ... " + data[-400:] for name, data in self.files.items()}
        return f"{self!r}\n{shown}"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(str(self))

    @property
    def clean(self) -> bool:
        """Whether it must be imported."""
        return self.damage == "none"


# --- rows ----------------------------------------------------------------------------------------

_TIMES: dict[str, Callable[[int], str]] = {
    # Of milliseconds since 1970.
    "seconds": lambda ms: str(ms // 1000),
    "fractions": lambda ms: f"{ms // 1000}.{ms % 1000:03}",
    "milliseconds": str,
    "microseconds": lambda ms: f"{ms}000",
    "iso": lambda ms: _moment(ms).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03}Z",
    "iso with a space": lambda ms: _moment(ms).strftime("%Y-%m-%d %H:%M:%S"),
    "iso with a zone": lambda ms: _moment(ms).strftime("%Y-%m-%dT%H:%M:%S+00:00"),
}


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)


def _rows(draw: random.Random, n: int) -> list[tuple[str, str, int, float]]:
    """User, item, milliseconds, rating; with copies, ties, and ids of many forms."""
    users, items = (_ids(draw, draw.randint(1, most)) for most in (6, 9))
    step = draw.choice([1, 400, 1000, 86_400_000])
    rows: list[tuple[str, str, int, float]] = []
    for _ in range(n):
        if rows and draw.random() < 0.1:
            rows.append(draw.choice(rows))
            continue
        ms = FIRST * 1000 + draw.randrange(_SPAN * 1000 // step) * step
        if rows and draw.random() < 0.2:
            ms = draw.choice(rows)[2]
        rows.append((draw.choice(users), draw.choice(items), ms, draw.randint(1, 10) / 2))
    return rows


def _ids(draw: random.Random, n: int) -> list[str]:
    forms: list[Callable[[], str]] = [
        lambda: str(draw.randint(1, 999)),
        lambda: f"00{draw.randint(1, 99)}",
        lambda: f"{draw.randint(1, 99)}.0",
        lambda: "".join(draw.choices(_LETTERS, k=draw.randint(2, 8))) + "x",
        lambda: f"Größe {draw.randint(1, 9)}",
        lambda: f"漢{draw.randint(1, 9)}🎬",
        lambda: "L" + "o" * draw.randint(10, 3000) + "ng",
    ]
    form = draw.choice(forms)
    return [draw.choice([form, draw.choice(forms)])() for _ in range(n)]


# --- text ----------------------------------------------------------------------------------------


@st.composite
def text_sources(draw: st.DrawFn) -> Source:
    """Delimited text, packed or not, in an encoding, with or without damage and a file of items."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    rows = _rows(chance, draw(st.integers(1, 40)))
    delimiter = draw(st.sampled_from(",\t;|"))
    kind = draw(st.sampled_from(_CSV_KINDS))
    write_time = _TIMES[draw(st.sampled_from(sorted(_TIMES)))]
    header = ["user_id", "item_id", "timestamp", "stars"]
    cells = [[user, item, write_time(ms), f"{stars:g}"] for user, item, ms, stars in rows]
    odd_notes = kind != "none" and draw(st.booleans())
    if draw(st.booleans()):
        header.append("note")
        for row in cells:
            row.append(_note(chance, many_lines=odd_notes) if odd_notes else "plain")
    order = chance.sample(range(len(header)), len(header))
    table = [[row[place] for place in order] for row in [header, *cells]]
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    lines = [_line(row, delimiter, kind) + newline for row in table]
    if draw(st.booleans()):
        lines = [line + newline * (chance.random() < 0.1) for line in lines]
    if draw(st.booleans()):
        lines[-1] = lines[-1].rstrip("\r\n")
    source = Source(
        {}, {}, delimiter, draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])), kind != "none"
    )
    if draw(st.integers(0, 2)) == 0:
        _damage_lines(draw(st.sampled_from(sorted(_LINE_DAMAGES))), source, lines, chance)
    data = "".join(lines).encode(source.encoding)
    packed = draw(st.booleans())
    if source.clean and draw(st.integers(0, 3)) == 0:
        data = _damage_bytes(draw(st.sampled_from(_BYTE_DAMAGES)), source, data, chance)
    name = "interactions.csv"
    if packed:
        data, name = gzip.compress(data, mtime=0), "interactions.csv.gz"
        if source.clean and draw(st.integers(0, 5)) == 0:
            source.damage, data = "cut gzip", data[: chance.randrange(3, len(data))]
    source.files[name] = data
    _add_items(source, rows, chance, told=draw(st.booleans()))
    source.spec = _spec(draw, source)
    return source


def _note(draw: random.Random, *, many_lines: bool) -> str:
    text = "".join(draw.choices(_LETTERS + _ODD, k=draw.randint(0, 12)))
    return text.strip() + ("\nsecond line" if many_lines and draw.random() < 0.1 else "")


def _line(row: list[str], delimiter: str, kind: str) -> str:
    if kind == "none":
        return delimiter.join(row)
    quoting = csv.QUOTE_ALL if kind == "all" else csv.QUOTE_MINIMAL
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, quoting=quoting).writerow(row)
    return file.getvalue().removesuffix("\r\n")


def _replaced(name: str, value: str) -> Callable[[list[str], list[str]], list[str]]:
    return lambda header, row: [
        value if title == name else cell for title, cell in zip(header, row, strict=True)
    ]


_LINE_DAMAGES: dict[str, Callable[[list[str], list[str]], list[str]]] = {
    "one field more": lambda _, row: [*row, "extra"],
    "one field less": lambda _, row: row[:-1],
    "no time": _replaced("timestamp", ""),
    "a time in words": _replaced("timestamp", "soon"),
    "an infinite time": _replaced("timestamp", "1e400"),
    "no user": _replaced("user_id", ""),
    "blank item": _replaced("item_id", "  "),
    "no rating": _replaced("stars", "nan"),
    "a rating in words": _replaced("stars", "good"),
    "an open quote": lambda _, row: ['"' + row[0], *row[1:]],
    "a quote within": lambda _, row: [f'"{row[0]}"x', *row[1:]],
    "a zero byte": lambda _, row: [row[0] + "\0", *row[1:]],
    "a placeholder": _replaced("user_id", "NULL"),
    "a long cell": lambda _, row: [row[0] + "y" * 400_000, *row[1:]],
    "two names alike": lambda _, row: row,
    "no such column": lambda _, row: row,
    "a stray time": _replaced("timestamp", "0"),
}
_CERTAIN = {
    *("one field more", "one field less", "no user", "blank item", "no rating"),
    *("a rating in words",),
}
"""Damages that are refused at their line, whatever else the file has."""


def _damage_lines(damage: str, source: Source, lines: list[str], chance: random.Random) -> None:
    source.damage = damage
    header = next(csv.reader([lines[0].strip()], delimiter=source.delimiter))
    if damage in {"two names alike", "no such column"}:
        other = "item_id" if damage == "two names alike" else "someone"
        lines[0] = lines[0].replace("user_id", other)
        return
    number = chance.randrange(1, len(lines))
    text = lines[number].rstrip("\r\n")
    ending = lines[number][len(text) :]
    parsed = csv.reader(
        [part + "\n" for part in text.split("\n")],
        delimiter=source.delimiter,
        quoting=csv.QUOTE_MINIMAL if source.quoted else csv.QUOTE_NONE,
    )
    row = _LINE_DAMAGES[damage](header, next(parsed))
    raw = "quote" in damage or not source.quoted
    damaged = source.delimiter.join(row) if raw else _line(row, source.delimiter, "minimal")
    lines[number] = damaged + ending
    if damage in _CERTAIN:
        source.line = "".join(lines[:number]).count("\n") + 1


_BYTE_DAMAGES = ["cut", "a stray byte", "latin-1", "nothing", "carriage returns alone"]


def _damage_bytes(damage: str, source: Source, data: bytes, chance: random.Random) -> bytes:
    source.damage = damage
    if damage == "cut":
        return data[: chance.randrange(1, len(data))]
    if damage == "a stray byte":
        place = chance.randrange(len(data))
        return data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]
    if damage == "latin-1":
        source.encoding = "latin-1"
        return data.decode("utf-8", "replace").encode("latin-1", "replace") + b"\xff"
    if damage == "carriage returns alone":
        return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r")
    return b"" if chance.random() < 0.5 else b" \n\n"


# --- items, specification ------------------------------------------------------------------------


def _add_items(
    source: Source, rows: list[tuple[str, str, int, float]], chance: random.Random, *, told: bool
) -> None:
    if not told:
        return
    met = list(dict.fromkeys(row[1] for row in rows))
    ids = [item for item in met if chance.random() < 0.7]
    ids += [f"unmet{n}" for n in range(chance.randrange(3))]
    for item in ids:
        title = chance.choice(["", "Boats, and more", 'The 12" Mix', "夜の庭"])
        source.described[item] = (title, chance.choice(["", "Drama", "Drama|Sea"]))
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["item_id", "title", "tags"])
    writer.writerows([item, *texts] for item, texts in source.described.items())
    source.files["items.csv"] = file.getvalue().encode()


def _spec(draw: st.DrawFn, source: Source) -> dict[str, Any]:
    columns: dict[str, Any] = {"rating": "stars"} if draw(st.booleans()) else {}
    spec: dict[str, Any] = {
        "name": "mine",
        "source": {"format": "table", "columns": columns},
        "k_core": draw(st.sampled_from([1, 1, 2, 3])),
        "copies": draw(st.sampled_from(["keep", "drop"])),
        "split": {"kind": draw(st.sampled_from(["leave-one-out", "global-time"]))},
    }
    if columns and draw(st.booleans()):
        spec["min_rating"] = 2.5
    if not columns:
        # What no column of the specification holds may be anything.
        source.line *= source.damage not in {"no rating", "a rating in words"}
    if "items.csv" in source.files:
        spec["source"]["items_path"] = "items.csv"
    return spec


# --- Parquet -------------------------------------------------------------------------------------


@st.composite
def parquet_sources(draw: st.DrawFn) -> Source:
    """Parquet with columns of any type, nested ones among them."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    rows = _rows(chance, draw(st.integers(1, 40)))
    whole = draw(st.booleans())
    codes = {text: n for n, text in enumerate(dict.fromkeys(r[i] for r in rows for i in (0, 1)))}
    names = [[codes[r[i]] if whole else r[i] for r in rows] for i in (0, 1)]
    unit = draw(st.sampled_from(["s", "ms", "us", "ns", "number"]))
    per_ms = {"s": 0.001, "ms": 1, "us": 1000, "ns": 1_000_000, "number": 1}[unit]
    numbers = [int(r[2] * per_ms) if unit != "s" else r[2] // 1000 for r in rows]
    zone = draw(st.sampled_from(["UTC", "Asia/Tokyo"]))
    kind = pa.int64() if unit == "number" else pa.timestamp(unit, zone)
    id_type = draw(
        st.sampled_from(
            [pa.int32(), pa.int64(), pa.uint64()] if whole else [pa.string(), pa.large_string()]
        )
    )
    columns: dict[str, Any] = {
        "user_id": pa.array(names[0], id_type),
        "item_id": pa.array(names[1], id_type),
        "timestamp": pa.array(numbers, kind),
        "stars": pa.array(
            [r[3] for r in rows], draw(st.sampled_from([pa.float32(), pa.float64()]))
        ),
        "nested": pa.array([{"a": [n, None], "b": {"c": "x"}} for n, _ in enumerate(rows)]),
    }
    if draw(st.booleans()):
        columns["item_id"] = columns["item_id"].dictionary_encode()
    source = Source({}, {}, rows=[])
    place = chance.randrange(len(rows))
    match draw(st.sampled_from(["none"] * 6 + ["null id", "nested id", "null time", "cut"])):
        case "null id":
            source.damage, source.line = "null id", place + 1
            columns["user_id"] = _with_null(columns["user_id"], place)
        case "null time":
            source.damage, source.line = "null time", place + 1
            columns["timestamp"] = _with_null(columns["timestamp"], place)
        case "nested id":
            source.damage, columns["user_id"] = "nested id", columns["nested"]
        case damage:
            source.damage = damage
    source.rows = [
        {
            "user_id": str(user),
            "item_id": str(item),
            "timestamp": ms // 1000 * 10**9 if unit == "s" else ms * 10**6,
            "stars": stars,
        }
        for user, item, (*_, ms, stars) in zip(*names, rows, strict=True)
    ]
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, row_group_size=chance.choice([1, 7, 1000]))
    data = sink.getvalue()
    if source.damage == "cut":
        data = data[: chance.randrange(len(data))]
    source.files["interactions.parquet"] = data
    _add_items(
        source,
        [(row["user_id"], row["item_id"], 0, 0.0) for row in source.rows],
        chance,
        told=draw(st.booleans()),
    )
    source.spec = _spec(draw, source)
    return source


def _with_null(column: pa.Array, place: int) -> pa.Array:
    values = column.to_pylist()
    values[place] = None
    return pa.array(values, column.type)


def sources() -> st.SearchStrategy[Source]:
    """Text and Parquet; text more often, as it goes wrong more often."""
    return st.one_of(text_sources(), text_sources(), text_sources(), parquet_sources())
