"""From raw files to a data set: read, filter, index, split.

External ids (text) become internal indices (integers) here and nowhere else. Indices follow the
natural order of ids ("2" before "10", "u2" before "u10"), so they depend on which ids there are,
and not on the order of rows.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reclens.contracts import DatasetSpec
from reclens.data.dataset import Dataset, Interactions, Items, Split, Users
from reclens.data.reading import published_source, read_source
from reclens.data.sources.raw import ItemText, Order, RawData, hold_out_taggers
from reclens.data.splits import assign_splits
from reclens.errors import InvalidInput

_DIGITS = re.compile(r"([0-9]+)")
_SPLITS: dict[Order, tuple[tuple[str, ...], str]] = {
    "time": (("leave-one-out", "ratio", "global-time"), "the time"),
    "sequence": (("leave-one-out", "ratio"), "the order of each user's interactions alone"),
    "none": (("ratio",), "no order of interactions"),
}
"""By what is known of the order: kinds of split that make sense, and how to call it."""


def prepare(spec: DatasetSpec, folder: Path) -> Dataset:
    """Read, filter, index and split.

    Args:
        spec: what to do.
        folder: folder or interactions file with the raw data; it stands for ``spec.source.path``.
            Of a published data set: the folder with its files.

    Raises:
        NotFound: no installed package reads the format, or declares the data set.
        MissingData: a file is not there.
        MalformedData: a row cannot be read.
        InvalidInput: nothing is left after filtering or for training, or a rating, an order of
            interactions or taggers are asked for that the source does not have.
    """
    if spec.source is None:
        source = published_source(spec.name, folder)
    else:
        source = spec.source.model_copy(update={"path": str(folder)})
    raw = read_source(source)
    if spec.held_out_taggers:
        raw = replace(raw, items=hold_out_taggers(raw.items, spec.held_out_taggers))
    return index_and_split(raw, spec)


def index_and_split(raw: RawData, spec: DatasetSpec) -> Dataset:
    """Filter, index and split what a reader returned. Repeated interactions are kept: they are
    part of the sequence.

    Raises:
        InvalidInput: as ``prepare``.
    """
    _check_order(raw, spec)
    user_ids, user_index = index_ids(raw.user_ids)
    item_ids, item_index = index_ids(raw.item_ids)
    rows = _rated(raw, spec.min_rating)
    rows = rows[k_core(user_index[rows], item_index[rows], spec.k_core)]
    if len(rows) == 0:
        raise InvalidInput(
            f"no interaction is left of {len(raw)}.",
            field="k_core" if spec.k_core > 1 else "min_rating",
            remedy="lower k_core or min_rating, or check that the file has rows.",
        )
    # Stable, so that rows at the same time keep their order in the source.
    finest_first = [raw.timestamps, user_index]
    if raw.fractions is not None:
        finest_first.insert(0, raw.fractions)
    rows = rows[np.lexsort([key[rows] for key in finest_first])]
    user_ids, user_index = compact(user_ids, user_index[rows])
    item_ids, item_index = compact(item_ids, item_index[rows])
    timestamp = raw.timestamps[rows]
    fraction = None if raw.fractions is None else raw.fractions[rows]
    split = assign_splits(user_index, timestamp, spec.split, fraction)
    popularity = np.bincount(item_index[split == Split.TRAIN], minlength=len(item_ids))
    texts = [raw.items.get(item_id, ItemText()) for item_id in item_ids]
    tells_tag_users = any(text.tag_users for text in texts)
    return Dataset(
        Interactions(
            user_index,
            item_index,
            timestamp,
            None if raw.ratings is None else raw.ratings[rows],
            split,
        ),
        Items(
            item_ids,
            [text.title for text in texts],
            [list(text.tags) for text in texts],
            [text.year for text in texts],
            popularity.astype(np.int32),
            [dict(text.tag_users) for text in texts] if tells_tag_users else None,
            [dict(text.held_out_tag_users) for text in texts] if spec.held_out_taggers else None,
        ),
        Users(user_ids, [dict(raw.users.get(user_id, {})) for user_id in user_ids]),
    )


def k_core(
    user_index: npt.NDArray[np.int32], item_index: npt.NDArray[np.int32], k: int
) -> npt.NDArray[np.bool_]:
    """Mask [n] of the largest part in which every user and item has at least ``k`` interactions.

    A repeated interaction counts each time.
    """
    kept = np.ones(len(user_index), dtype=bool)
    if k <= 1 or len(kept) == 0:
        return kept
    n_users, n_items = int(user_index.max()) + 1, int(item_index.max()) + 1
    while True:
        per_user = np.bincount(user_index[kept], minlength=n_users)
        per_item = np.bincount(item_index[kept], minlength=n_items)
        still = kept & (per_user[user_index] >= k) & (per_item[item_index] >= k)
        if still.sum() == kept.sum():
            return kept
        kept = still


def natural_key(text: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """Sort key by which runs of digits compare as numbers; equal numbers ("1", "01") by text."""
    parts = _DIGITS.split(text)
    # Digits stay text, compared by length first: no limit on the size of a number.
    numbers = [part.lstrip("0") for part in parts[1::2]]
    key: list[str | tuple[int, str]] = list(parts)
    key[1::2] = [(len(number), number) for number in numbers]
    return tuple(key), text


def index_ids(ids: pa.StringArray) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Distinct ids [m] in natural order, and the position of each id [n] among them."""
    encoded = ids.dictionary_encode()
    found: list[str] = encoded.dictionary.to_pylist()
    order = sorted(range(len(found)), key=lambda code: natural_key(found[code]))
    rank = np.empty(len(found), dtype=np.int32)
    rank[order] = np.arange(len(found))
    return [found[code] for code in order], rank[encoded.indices.to_numpy()]


def compact(
    ids: list[str], index: npt.NDArray[np.int32]
) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Drop the ids that ``index`` no longer mentions; the order of the others stays."""
    used, compacted = np.unique(index, return_inverse=True)
    return [ids[i] for i in used], compacted.astype(np.int32)


# --- below ---------------------------------------------------------------------------------------


def _check_order(raw: RawData, spec: DatasetSpec) -> None:
    """Refuse a split by an order that the source does not have."""
    kinds, known = _SPLITS[raw.order]
    if spec.split.kind not in kinds:
        raise InvalidInput(
            f"{spec.split.kind} cannot divide a source that knows {known}.",
            field="split.kind",
            remedy=f"use {' or '.join(kinds)}.",
        )


def _rated(raw: RawData, min_rating: float | None) -> np.ndarray:
    """Rows [n] whose rating is at least ``min_rating``; all where that is None."""
    if min_rating is None:
        return np.arange(len(raw))
    if raw.ratings is None:
        raise InvalidInput(
            "the source has no ratings.",
            field="min_rating",
            remedy="leave min_rating out, or name the column in source.columns.rating.",
        )
    return np.flatnonzero(raw.ratings >= np.float32(min_rating))
