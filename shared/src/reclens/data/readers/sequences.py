"""A line per user, ``user item item ...`` oldest first, with item texts in JSON beside it.

Source: the data sets of S3-Rec (https://github.com/RUCAIBox/CIKM2020-S3Rec, folder ``data``), and
the texts that LETTER (https://github.com/HonghuiBao2000/LETTER) released for the one of Yelp.
"""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reclens.contracts import ColumnNames
from reclens.data.sources.columns import clean_tags
from reclens.data.sources.encodings import read_bytes, to_utf8
from reclens.data.sources.files import SourceFiles, beside, folder_of
from reclens.data.sources.findings import Reading
from reclens.data.sources.oddities import PLACEHOLDERS_REMEDY, placeholders
from reclens.data.sources.raw import ItemText, RawData, article_first
from reclens.errors import MalformedData, MissingData

_ITEMS_SUFFIX = ".item.json"
_LINE_END = re.compile(r"\r\n|[\r\n]")


def locate(path: Path, items_path: Path | None = None) -> SourceFiles:
    """Find the one ``.txt`` of a folder, or take the file itself; ``NAME.item.json`` beside it.

    Raises:
        MissingData: there is no ``.txt`` file, or several.
    """
    folder = folder_of(path)
    found = [path] if path.is_file() else sorted(folder.glob("*.txt"))
    if len(found) != 1:
        raise MissingData(
            f"there is no single .txt file in {folder}.",
            field="source.path",
            remedy="give the file with the sequences itself, or a folder with exactly one.",
        )
    (sequences,) = found
    return SourceFiles((sequences,), beside(items_path, sequences.with_suffix(_ITEMS_SUFFIX)))


def read(files: SourceFiles, columns: ColumnNames) -> RawData:
    """Read sequences; of ``columns`` applies how files are written.

    An item's key in the JSON is its id minus one: the sequences count from 1 (0 is padding there),
    the texts from 0. Its ``description``, a list between commas, becomes its tags.

    Raises:
        MalformedData: a line has no item, a user comes twice, an item id is not a positive whole
            number, or the JSON has another layout.
    """
    reading = Reading(columns)
    (path,) = files.interactions
    sequences: dict[str, list[str]] = {}
    for line, text in enumerate(_LINE_END.split(_text(path, reading)), start=1):
        if not text.strip():
            continue
        user, *items = text.split()
        if user in sequences:
            raise _refused(path, line, "the user comes a second time")
        if not items:
            raise _refused(path, line, "a line is a user and items")
        for place, item in enumerate(items, start=1):
            if not _is_positive(item):
                raise _refused(path, line, f"item {place} is no whole number from 1")
        sequences[user] = items
    lengths = [len(items) for items in sequences.values()]
    return RawData(
        user_ids=pa.array(np.repeat(np.array(list(sequences), dtype=object), lengths), pa.string()),
        item_ids=pa.array(list(chain.from_iterable(sequences.values())), pa.string()),
        timestamps=np.concatenate([np.arange(length, dtype=np.int64) for length in lengths]),
        items=_items(files.items, reading),
        order="sequence",
        findings=tuple(reading.findings),
    )


def _items(path: Path | None, reading: Reading) -> dict[str, ItemText]:
    if path is None:
        return {}
    try:
        document: Any = json.loads(_text(path, reading))
    except json.JSONDecodeError as error:
        raise _refused(path, error.lineno, f"not JSON: {error.msg}") from None
    if not isinstance(document, dict):
        raise MalformedData(
            f"{path.name} is not an object of items by key.",
            field=path.name,
            remedy='write {"0": {"title": "...", "description": "tag, tag"}, ...}.',
        )
    items: dict[str, ItemText] = {}
    nothing, n_nothing = placeholders(reading.columns), 0
    for number, (key, entry) in enumerate(document.items(), start=1):
        text = entry if isinstance(entry, dict) else {}
        title, description = text.get("title"), text.get("description", "")
        if not (_is_whole(key) and isinstance(title, str) and isinstance(description, str)):
            raise MalformedData(
                f"{path.name}, entry {number}: expected a number with a title and a description.",
                field=path.name,
                remedy="correct the entry or remove it.",
            )
        tags = clean_tags(description.split(","))
        known = tuple(tag for tag in tags if tag.lower() not in nothing)
        # A bar of Yelp's is called Unknown.
        is_titled = title.strip().lower() not in nothing - {"unknown"}
        n_nothing += not is_titled or known != tags
        title = article_first(title.strip()) if is_titled else ""
        items[str(int(key) + 1)] = ItemText(title, known)
    if n_nothing:
        reading.tell(
            "placeholders",
            "note",
            n_nothing,
            "placeholders are taken for what they stand for: nothing.",
            file=path.name,
            remedy=PLACEHOLDERS_REMEDY,
        )
    return items


def _text(path: Path, reading: Reading) -> str:
    return to_utf8(read_bytes(path), path.name, reading).decode()


def _refused(path: Path, line: int, problem: str) -> MalformedData:
    """The error for one line, which is not quoted: any text looks like a sequence."""
    return MalformedData(
        f"{path.name}, line {line}: {problem}.",
        field=path.name,
        remedy="correct the line or remove it.",
    )


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_positive(text: str) -> bool:
    # "07" would be item 7 in the texts and an item of its own here.
    return _is_whole(text) and not text.startswith("0")
